"""Recorded clips with their truth, as questions: a folder of FLAC files with a `truth.json`, such as tests/speech."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import soundfile

from models.training.examination import Question
from models.training.utterance import RATE, Word

if TYPE_CHECKING:
    from pathlib import Path


def questions(folder: Path) -> dict[str, Question]:
    """Every clip by its file's name. Raises `ValueError` for a clip that is not at 16 kHz."""
    found = {}
    for clip in json.loads((folder / "truth.json").read_text(encoding="utf-8")):
        sound, rate = soundfile.read(folder / clip["file"], dtype="float32")
        if rate != RATE:
            raise ValueError(f"{clip['file']} is at {rate} Hz")
        words = [Word(word["word"], word["start"], word["end"], sure=True) for word in clip["words"]]
        found[clip["file"]] = Question(clip["language"], clip["voice"].split()[0], sound, words)
    return found

"""The test clips and what is said in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import soundfile

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Clip:
    """A recorded clip: 16 kHz PCM16, and its words with their true times in seconds."""

    name: str
    language: str
    pcm: bytes
    words: tuple[tuple[str, float, float], ...]


def clips() -> list[Clip]:
    return [
        Clip(
            entry["file"].removesuffix(".flac"),
            entry["language"],
            soundfile.read(FOLDER / entry["file"], dtype="int16")[0].tobytes(),
            tuple((word["word"], word["start"], word["end"]) for word in entry["words"]),
        )
        for entry in json.loads((FOLDER / "truth.json").read_text(encoding="utf-8"))
    ]


def errors(heard: list[str], said: list[str]) -> int:
    """Words wrong, missing or invented: the edit distance."""
    row = list(range(len(said) + 1))
    for i, word in enumerate(heard, 1):
        above, row = row, [i]
        for j, true in enumerate(said, 1):
            row.append(min(above[j - 1] + (word != true), above[j] + 1, row[-1] + 1))
    return row[-1]

"""The test clips and what is said in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

if TYPE_CHECKING:
    from engine.types import Samples

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Clip:
    """A recorded clip: 16 kHz PCM16, and its words with their true times in seconds."""

    name: str
    language: str
    pcm: bytes
    words: tuple[tuple[str, float, float], ...]

    @property
    def samples(self) -> Samples:
        """The same as the engine has it."""
        return np.frombuffer(self.pcm, np.int16).astype(np.float32) / np.float32(2**15)


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

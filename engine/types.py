"""The values that pass between the rooms of the engine: frozen, and checked when they are made.

All positions are sample indices at `SAMPLE_RATE` from the first sample of the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples a second inside the engine; Whisper's front end is fixed to it."""

FRAME = 512
"""Samples of which the speech detector decides at a time: 32 ms."""

BYTES_PER_SAMPLE = 2
"""Of the PCM that comes in: signed 16-bit little-endian mono, whatever its rate."""

Samples: TypeAlias = NDArray[np.float32]
"""Audio: float32, shape (n,), -1 to 1, at `SAMPLE_RATE`."""


@dataclass(frozen=True, slots=True)
class Word:
    """One recognised word.

    `text` carries its punctuation and, where the language writes one, the space before it, so that a text is
    the plain concatenation of its words, in Japanese as in German. `start` <= `end` are sample indices;
    `confidence` is 0 to 1. Raises `ValueError` for anything else.
    """

    text: str
    start: int
    end: int
    confidence: float

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ValueError("a word needs text")
        if not 0 <= self.start <= self.end:
            raise ValueError(f"word times out of order: {self.start} to {self.end}")
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence outside 0 to 1: {self.confidence}")


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A stretch of the stream to be recognised, with all that a recognizer needs to know.

    `samples` is C-contiguous; its first sample is at `start`. `prompt` is text already settled before the
    window. `language` is the code to decode in; with `detect` the recognizer first finds out which language is
    spoken, and `language` is only the first guess. `task` is "transcribe" or "translate".
    """

    samples: Samples
    start: int
    language: str
    detect: bool = False
    task: str = "transcribe"
    prompt: str = ""

    def __post_init__(self) -> None:
        if self.samples.dtype != np.float32 or self.samples.ndim != 1 or not self.samples.flags.c_contiguous:
            raise ValueError("a window needs C-contiguous float32 samples of shape (n,)")
        if self.start < 0:
            raise ValueError(f"a window cannot start at {self.start}")

    @property
    def end(self) -> int:
        """Index of the sample after the window's last."""
        return self.start + len(self.samples)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a recognizer heard in one window: words in order of time, and the language it took them for."""

    words: tuple[Word, ...]
    language: str


@dataclass(frozen=True, slots=True)
class Partial:
    """The words of the utterance so far. Unless eager partials were asked for, none is ever taken back."""

    text: str


@dataclass(frozen=True, slots=True)
class Final:
    """A finished utterance: at least one word, times in order and not overlapping, and its language."""

    words: tuple[Word, ...]
    language: str

    def __post_init__(self) -> None:
        if not self.words:
            raise ValueError("a final needs words")
        if any(a.end > b.start for a, b in pairwise(self.words)):
            raise ValueError("the words of a final overlap")

    @property
    def text(self) -> str:
        """The utterance as Whisper writes it, leading space included."""
        return "".join(word.text for word in self.words)


Event: TypeAlias = Partial | Final

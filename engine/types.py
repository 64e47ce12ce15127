"""The values that pass between the rooms of the engine: frozen, and checked when they are made.

All positions are sample indices at `SAMPLE_RATE` from the first sample of the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples a second inside the engine; Whisper's front end is fixed to it."""


@dataclass(frozen=True, slots=True)
class Word:
    """One recognised word.

    `text` carries its punctuation and, where the language writes one, the space before it (so that a text is
    the plain concatenation of its words, in Japanese as in German). `start` <= `end` are sample indices;
    `confidence` is 0 to 1.
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
    """A stretch of the stream to be recognised, with all that the recognizer needs to know.

    `samples` is C-contiguous float32, shape (n,), in -1 to 1; its first sample is at `start`. `prompt` is the
    text already settled before the window, `language` a code or "auto", `task` "transcribe" or "translate".
    `final` says that the window reaches the end of an utterance, so that its outcome settles all its words.
    """

    samples: NDArray[np.float32]
    start: int
    prompt: str
    language: str
    task: str
    final: bool

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
        if any(a.end > b.start for a, b in zip(self.words, self.words[1:], strict=False)):
            raise ValueError("the words of a final overlap")

    @property
    def text(self) -> str:
        """The utterance as Whisper writes it, leading space included."""
        return "".join(word.text for word in self.words)


Event = Partial | Final

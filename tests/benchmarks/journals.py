"""Speech and journals made by hand, so that what they say of a server is known beforehand."""

from __future__ import annotations

from benchmarks.client import Journal, Output
from benchmarks.speech import BYTES_PER_SECOND, Part, Speech
from tests.speech import Clip

LENGTH = 0.3
"""Seconds that every word takes."""


def speech(*words: tuple[str, float], seconds: float) -> Speech:
    """Words, each with the time at which it ends, in silence of so many seconds."""
    times = tuple((word, end - LENGTH, end) for word, end in words)
    clip = Clip("made", "en", bytes(round(seconds * BYTES_PER_SECOND)), times)
    return Speech("made", "en", (Part(0.0, clip, 0.0, seconds),))


def partial(at: float, text: str) -> Output:
    return Output(at, False, tuple(text.split()))


def final(at: float, text: str, starts: tuple[float, ...] = ()) -> Output:
    return Output(at, True, tuple(text.split()), starts)


def journal(said: Speech, *outputs: Output) -> Journal:
    """One that ended well: `eof` when all was said, and the ID half a second later."""
    return Journal(said, outputs=list(outputs), eof_at=said.seconds, id_at=said.seconds + 0.5)

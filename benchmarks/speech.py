"""What a connection says: audio made of the recorded clips and pauses, with the true time of every word.

Streams of hours are assembled while they are sent. A `Speech` holds only which stretch of which clip comes after which
pause; all of them share the clips' audio.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from tests.speech import Clip, clips

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RATE: Final = 16_000
BYTES_PER_SECOND: Final = 2 * RATE
FRAME_SECONDS: Final = 0.1

MARGIN: Final = 0.03
"""Seconds kept on both sides of a clip's words where clips are joined."""

NOISE_PEAK: Final = 16
"""Of 32 768: the sound of a silent microphone, about 70 dB below full scale."""


@dataclass(frozen=True, slots=True)
class TrueWord:
    """A word that is said, in seconds from the connection's first sample."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a clip (in seconds of it), and the pause in seconds before it."""

    pause: float
    clip: Clip
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Speech:
    """The audio of one connection: its parts, and what is silent after them, in seconds."""

    name: str
    language: str
    parts: tuple[Part, ...]
    tail: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it is."""
        return sum(part.pause + part.end - part.start for part in self.parts) + self.tail

    @property
    def words(self) -> Iterator[TrueWord]:
        """All words, in order."""
        at = 0.0
        for part in self.parts:
            offset = at + part.pause - part.start
            at = offset + part.end
            for text, start, end in part.clip.words:
                yield TrueWord(text, offset + start, offset + end)

    def frames(self, seconds: float = FRAME_SECONDS) -> Iterator[bytes]:
        """The audio in frames of this length: 16 kHz PCM16. The last may be shorter."""
        size = _bytes(seconds)
        ready = b""
        sent = at = 0.0
        for piece, length in self._pieces():
            at += length
            # Whole samples, counted from the first one, so that no rounding adds up over hours.
            wanted = _bytes(at) - _bytes(sent)
            sent = at
            ready += piece[:wanted].ljust(wanted, b"\0")
            whole = len(ready) // size * size
            for position in range(0, whole, size):
                yield ready[position : position + size]
            ready = ready[whole:]
        if ready:
            yield ready

    def _pieces(self) -> Iterator[tuple[bytes, float]]:
        for part in self.parts:
            yield bytes(_bytes(part.pause)), part.pause
            yield part.clip.pcm[_bytes(part.start) :], part.end - part.start
        whole, rest = divmod(self.tail, 1.0)
        for _ in range(int(whole)):
            yield bytes(BYTES_PER_SECOND), 1.0
        yield bytes(_bytes(rest)), rest


@dataclass(frozen=True, slots=True)
class Silence:
    """A microphone in a quiet room: faint noise, and no words."""

    seconds: float
    name: str = "silence"
    language: str = "en"

    @property
    def words(self) -> Iterator[TrueWord]:
        """None."""
        return iter(())

    def frames(self, seconds: float = FRAME_SECONDS) -> Iterator[bytes]:
        """See `Speech.frames`."""
        noise = np.random.default_rng(0)
        left = _bytes(self.seconds)
        while left > 0:
            size = min(left, _bytes(seconds))
            yield noise.integers(-NOISE_PEAK, NOISE_PEAK, size // 2, dtype=np.int16).tobytes()
            left -= size


@cache
def recorded() -> tuple[Clip, ...]:
    """The recorded clips."""
    return tuple(clips())


def of_clip(clip: Clip) -> Speech:
    """A clip as it is."""
    return Speech(clip.name, clip.language, (Part(0.0, clip, 0.0, len(clip.pcm) / BYTES_PER_SECOND),))


def conversation(language: str, seconds: float, seed: int) -> Speech:
    """Clips of a language in random order, with pauses as people make them, for about this long.

    Half of the pauses are within an utterance (0.15 to 0.5 s), the others end one (0.7 to 2 s, now and then up to 5 s).
    """
    rng = random.Random(f"{language} {seed}")  # noqa: S311 - not for secrets

    def pause() -> float:
        kind = rng.random()
        low, high = (0.15, 0.5) if kind < 0.5 else (0.7, 2.0) if kind < 0.9 else (2.0, 5.0)  # noqa: PLR2004
        return round(rng.uniform(low, high), 3)

    return _assembled(f"conversation-{language}-{seed}", language, seconds, rng, pause)


def monologue(language: str, seconds: float, seed: int) -> Speech:
    """Clips of a language in random order with hardly a pause between them (0.1 to 0.3 s): speech all the time."""
    rng = random.Random(f"{language} {seed}")  # noqa: S311 - not for secrets
    return _assembled(f"monologue-{language}-{seed}", language, seconds, rng, lambda: round(rng.uniform(0.1, 0.3), 3))


def _assembled(name: str, language: str, seconds: float, rng: random.Random, pause: Callable[[], float]) -> Speech:
    parts: list[Part] = []
    at = 0.0
    deck: list[Clip] = []
    while at < seconds:
        if not deck:
            deck = [clip for clip in recorded() if clip.language == language]
            rng.shuffle(deck)
        clip = deck.pop()
        _, start, _ = clip.words[0]
        _, _, end = clip.words[-1]
        part = Part(pause(), clip, max(0.0, start - MARGIN), end + MARGIN)
        if parts and at + part.pause + part.end - part.start > seconds:
            break
        parts.append(part)
        at += part.pause + part.end - part.start
    return Speech(name, language, tuple(parts), tail=max(0.3, seconds - at))


def sent_at(seconds: float, frame: float = FRAME_SECONDS) -> float:
    """When the sample at this time leaves, on a stream paced at 1x: with the rest of its frame."""
    return math.ceil(round(seconds / frame, 6)) * frame


def _bytes(seconds: float) -> int:
    return 2 * round(seconds * RATE)

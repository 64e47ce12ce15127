"""What a synthesiser gives: samples, and when every word is said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import soxr
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

RATE: Final = 16_000
AUDIBLE: Final = 60
"""Of 32768. What is quieter at either end of an utterance is cut off, save `KEPT`."""

KEPT: Final = 320
"""Samples (20 ms) left before and after the sound."""

PEAK: Final = 16_384
"""Of 32768: every utterance is stored with this peak."""

FADE: Final = 80
"""Samples (5 ms) in which speech falls silent where it is cut, and comes back."""

Pcm = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Word:
    """Seconds from the utterance's first sample. `sure` is False where they are a guess, not the synthesiser's word."""

    text: str
    start: float
    end: float
    sure: bool


@dataclass(frozen=True, slots=True)
class Utterance:
    """One sentence: `pcm` at 16 kHz; `words` in order, as `text.split()` gives them."""

    language: str
    voice: str
    text: str
    pcm: Pcm
    words: tuple[Word, ...]

    def paused(self, before: int, seconds: float) -> Utterance:
        """The same with a pause before its word of that number, as a speaker makes who thinks."""
        at, gap = int(self.words[before].start * RATE), int(seconds * RATE)
        fade = np.linspace(0, 1, min(FADE, at, len(self.pcm) - at), dtype=np.float32)
        first, then = self.pcm[:at].copy(), self.pcm[at:].copy()
        first[at - len(fade) :] = first[at - len(fade) :] * fade[::-1]
        then[: len(fade)] = then[: len(fade)] * fade
        words = [
            word if index < before else replace(word, start=word.start + gap / RATE, end=word.end + gap / RATE)
            for index, word in enumerate(self.words)
        ]
        words[before - 1] = replace(words[before - 1], end=min(words[before - 1].end, at / RATE))
        return replace(self, pcm=np.concatenate([first, np.zeros(gap, np.int16), then]), words=tuple(words))


def finish(language: str, voice: str, words: Sequence[Word], audio: Pcm, rate: float) -> Utterance | None:
    """Bring what a synthesiser gave to 16 kHz, cut its silences off and scale it. None if there is no sound.

    `audio` is at `rate` samples a second; another rate than its own makes another speaker of it (pitch and vocal
    tract together). Times of `words` are in seconds at that same rate.
    """
    if not len(audio):
        return None
    samples = soxr.resample(audio.astype(np.float32), rate, RATE)
    loud = np.flatnonzero(np.abs(samples) >= AUDIBLE)
    if not loud.size:
        return None
    first, last = max(0, int(loud[0]) - KEPT), min(len(samples), int(loud[-1]) + 1 + KEPT)
    samples = samples[first:last]
    length, shift = len(samples) / RATE, first / RATE
    moved = tuple(
        replace(
            word, start=float(np.clip(word.start - shift, 0, length)), end=float(np.clip(word.end - shift, 0, length))
        )
        for word in words
    )
    pcm = np.round(samples * (PEAK / np.abs(samples).max())).astype(np.int16)
    return Utterance(language, voice, " ".join(word.text for word in words), pcm, moved)


def timed(voice: str, text: str, spans: Sequence[tuple[float, float]], audio: Pcm, rate: float) -> Utterance | None:
    """An English sentence of a synthesiser that says from when to when each of its words lasts; see `finish`.

    None where its words are not those of `text`, or without sound.
    """
    texts = text.split()
    if len(texts) != len(spans):
        return None
    words = [Word(word, *span, sure=True) for word, span in zip(texts, spans, strict=True)]
    return finish("en", voice, words, audio, rate)


def spread(words: Sequence[str], starts: Sequence[float | None], limits: Sequence[float], end: float) -> list[Word]:
    """Give every word a start and an end. All times in seconds.

    `starts`: what the synthesiser said, None where two words were spoken as one (the first is known); those share
    the time in proportion to their letters. `limits`: ends of clauses, at which a word ends before a pause.
    """
    known = [index for index, start in enumerate(starts) if start is not None]
    result: list[Word] = []
    for at, following in zip(known, [*known[1:], len(words)], strict=True):
        begin = starts[at] or 0.0
        until = (starts[following] or 0.0) if following < len(words) else end
        until = min([until, *(limit for limit in limits if limit > begin)])
        letters = np.cumsum([0, *(len(word) + 1 for word in words[at:following])])
        edges = begin + (until - begin) * letters / letters[-1]
        result += [
            Word(words[at + k], float(edges[k]), float(edges[k + 1]), k == 0 and following == at + 1)
            for k in range(following - at)
        ]
    return result

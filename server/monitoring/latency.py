"""How long a stream's words take from the ear to the screen. Pure: times are handed in, samples are the engine's.

A word is heard when the sample at its end has come in. It stands from the first partial on which, like all that follow
it and the final itself, has the word in its place; so words that eager partials show and take back count when they are
right. Times of words are known with the final only, so all is worked out then.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from engine.types import SAMPLE_RATE

if TYPE_CHECKING:
    from engine.types import Final as FinalEvent

KEPT_SAMPLES: Final = 60 * SAMPLE_RATE
"""Arrivals are kept for twice the audio that the engine's buffer holds: a final never reaches back further."""

_CLOSING: Final = re.compile(r"\W+$")


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of the words of one final, each in seconds; `final` is that of its last word."""

    words: tuple[float, ...]
    final: float


class LatencyMeter:
    """One stream's arrivals, and the partials since its last final. Times in seconds on any one clock."""

    def __init__(self) -> None:
        self._ends: list[int] = []
        self._times: list[float] = []
        self._partials: list[tuple[float, str]] = []

    def heard(self, samples: int, now: float) -> None:
        """Note that `samples` have come in so far."""
        self._ends.append(samples)
        self._times.append(now)
        if len(self._ends) > 1 and self._ends[0] < samples - 2 * KEPT_SAMPLES:
            gone = bisect_left(self._ends, samples - KEPT_SAMPLES)
            del self._ends[:gone], self._times[:gone]

    def partial(self, text: str, now: float) -> None:
        """Note a partial."""
        if not self._partials or self._partials[-1][1] != text:
            self._partials.append((now, text))

    def final(self, final: FinalEvent, now: float) -> Latencies:
        """Settle accounts for the words of a final."""
        text = final.text
        standing: list[tuple[float, int]] = []  # when, and up to where in the text all agreed from then on
        agreed = len(text)
        for said, partial in reversed(self._partials):
            agreed = min(agreed, _common(partial, text))
            standing.append((said, agreed))
        standing.reverse()
        self._partials.clear()
        words, place = [], 0
        for word in final.words:
            # Its closing mark may come later than the word itself.
            needed = place + len(_CLOSING.sub("", word.text) or word.text)
            place += len(word.text)
            stood = next((said for said, length in standing if length >= needed), now)
            words.append(max(0.0, stood - self._arrival(word.end)))
        return Latencies(tuple(words), max(0.0, now - self._arrival(final.words[-1].end)))

    def _arrival(self, sample: int) -> float:
        index = bisect_left(self._ends, sample)
        return self._times[min(index, len(self._times) - 1)] if self._times else 0.0


def _common(one: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))

"""What the rooms of a server count while they work. `server.monitoring.metrics` shows it.

Plain numbers, added up in place. All is counted on the event loop, so nothing is locked, and what `statistics` gives
is consistent.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""Bounds for what people and decoders take: finest where captions are good or bad, about a second."""

LAG_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Bounds for the event loop, which should never be late by more than some milliseconds."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A snapshot of a histogram: how many values up to each of `bounds`, and beyond the last; and their sum."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


class Histogram:
    """Counts values by size."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def statistics(self) -> Distribution:
        """All so far."""
        return Distribution(self._bounds, tuple(self._counts), self._sum)


@dataclass(frozen=True, slots=True)
class TallyStatistics:
    """A snapshot of a `Tally`; see there."""

    audio: float
    words: int
    partials: int
    conflated: int
    refused: Mapping[str, int]
    faults: Mapping[str, int]
    ended: Mapping[str, int]
    inference: Distribution
    stable_word: Distribution
    final: Distribution
    lag: Distribution


class Tally:
    """Counters of one server, from its start.

    `audio` in seconds taken in; `words` of finals; `partials` said, and `conflated` those that a newer one replaced
    before they were sent. `refused` handshakes by reason, `faults` by kind, `ended` streams by what became of the
    export ("stored", "interrupted", "none"). In seconds: `inference` from the start of a decoder's work to its end,
    `stable_word` from when the end of a word was heard to when the word stood, `final` likewise to the final it is in,
    and `lag`, by how much the event loop was late.
    """

    def __init__(self) -> None:
        self.audio = 0.0
        self.words = 0
        self.partials = 0
        self.conflated = 0
        self.refused: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.inference = Histogram(SECONDS)
        self.stable_word = Histogram(SECONDS)
        self.final = Histogram(SECONDS)
        self.lag = Histogram(LAG_SECONDS)

    def fault(self, kind: str) -> None:
        """Count a fault."""
        self.faults[kind] += 1

    def statistics(self) -> TallyStatistics:
        """All so far."""
        return TallyStatistics(
            audio=self.audio,
            words=self.words,
            partials=self.partials,
            conflated=self.conflated,
            refused=dict(self.refused),
            faults=dict(self.faults),
            ended=dict(self.ended),
            inference=self.inference.statistics(),
            stable_word=self.stable_word.statistics(),
            final=self.final.statistics(),
            lag=self.lag.statistics(),
        )

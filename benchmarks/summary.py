"""The figures of many connections together. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.score import Score


@dataclass(frozen=True, slots=True)
class Spread:
    """How a measure is distributed: `count` values, all in seconds."""

    count: int
    median: float
    p90: float
    p95: float
    worst: float


def spread(values: Iterable[float]) -> Spread | None:
    """Median, 90th and 95th percentile (linear interpolation) and the largest; None where there are no values."""
    known = sorted(values)
    if not known:
        return None
    median, p90, p95 = (round(float(value), 3) for value in np.quantile(known, [0.5, 0.9, 0.95]))
    return Spread(len(known), median, p90, p95, round(known[-1], 3))


@dataclass(frozen=True, slots=True)
class Summary:
    """Of several connections. `word_latency` runs over the words heard as said, so `word_latency.count` of `said`."""

    connections: int
    failures: tuple[str, ...]
    said: int
    wrong: int
    missing: int
    invented: int
    longest_gap: int
    word_error_rate: float
    taken_back_per_100: float
    word_latency: Spread | None
    final_latency: Spread | None
    last_final_latency: Spread | None
    eof_to_id: Spread | None
    word_start_error: Spread | None
    partial_interval: Spread | None
    held_up: float

    @property
    def missing_rate(self) -> float:
        """Share of the words said that were never delivered."""
        return self.missing / max(1, self.said)

    def figures(self) -> dict[str, object]:
        """As plain values."""
        return asdict(self)


def summarise(scores: Sequence[Score]) -> Summary:
    """Take the scores of at least one connection together."""
    said = sum(score.said for score in scores)
    errors = sum(score.wrong + score.missing + score.invented for score in scores)
    shown = sum(score.shown for score in scores)
    return Summary(
        connections=len(scores),
        failures=tuple(score.failure for score in scores if score.failure is not None),
        said=said,
        wrong=sum(score.wrong for score in scores),
        missing=sum(score.missing for score in scores),
        invented=sum(score.invented for score in scores),
        longest_gap=max(score.longest_gap for score in scores),
        word_error_rate=round(errors / max(1, said), 4),
        taken_back_per_100=round(100 * sum(score.taken_back for score in scores) / max(1, shown), 2),
        word_latency=spread(latency.seconds for score in scores for latency in score.words),
        final_latency=spread(latency.seconds for score in scores for latency in score.finals),
        last_final_latency=spread(score.last_final for score in scores if score.last_final is not None),
        eof_to_id=spread(score.eof_to_id for score in scores if score.eof_to_id is not None),
        word_start_error=spread(error for score in scores for error in score.start_errors),
        partial_interval=spread(gap for score in scores for gap in score.partial_intervals),
        held_up=round(max(score.held_up for score in scores), 3),
    )

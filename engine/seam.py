"""Where a new hypothesis takes up after the words that already stand.

A window begins a little before the last settled word, so its hypothesis says some settled words again, perhaps
differently, perhaps cut at the front. Neither text alone nor time alone finds the seam: words repeat ("two,
two"), and Whisper's word times are off by tenths of a second. So both are weighed in one score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.text import normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.types import Word

MATCH: Final = 1.0
MISMATCH: Final = -0.6
GAP: Final = -0.7
TIME_WEIGHT: Final = 0.3
"""Cost per word by which the seam departs from where the times put it; three words of doubt cost one match."""


def seam(settled: Sequence[Word], heard: Sequence[Word]) -> int:
    """How many words at the head of `heard` are already among the `settled`.

    Best alignment of an end of `settled` (any number of its first words may have gone before the window) with a
    beginning of `heard`, where each word of distance from the seam by time costs `TIME_WEIGHT`.
    """
    if not settled or not heard:
        return 0
    by_time = sum((word.start + word.end) // 2 < settled[-1].end for word in heard)
    scores = _prefix_scores([normalise(w.text) for w in settled], [normalise(w.text) for w in heard])
    return max(range(len(heard) + 1), key=lambda j: (scores[j] - TIME_WEIGHT * abs(j - by_time), -j))


def _prefix_scores(settled: Sequence[str], heard: Sequence[str]) -> list[float]:
    """Score of the best alignment of all that was heard up to j with any end of `settled`, for every j."""
    row = [GAP * j for j in range(len(heard) + 1)]
    for known in settled:
        above = row
        row = [0.0]  # to begin behind this settled word is free: it went before the window
        for j, word in enumerate(heard, 1):
            match = above[j - 1] + (MATCH if word == known else MISMATCH)
            row.append(max(match, above[j] + GAP, row[j - 1] + GAP))
    return row

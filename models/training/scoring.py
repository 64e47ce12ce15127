"""Words heard against words said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def plain(word: str) -> str:
    """A word as it is compared: lower case, without marks."""
    return re.sub(r"[^\w']", "", word.lower())


def aligned(said: Sequence[str], heard: Sequence[str]) -> tuple[int, list[tuple[int, int]]]:
    """The least number of words wrong, missing or too many, and the pairs (said, heard) of equal words."""
    cost = np.zeros((len(said) + 1, len(heard) + 1), int)
    cost[:, 0], cost[0, :] = np.arange(len(said) + 1), np.arange(len(heard) + 1)
    for i, word in enumerate(said, 1):
        for j, other in enumerate(heard, 1):
            cost[i, j] = min(cost[i - 1, j] + 1, cost[i, j - 1] + 1, cost[i - 1, j - 1] + (word != other))
    pairs, i, j = [], len(said), len(heard)
    while i and j:
        same = said[i - 1] == heard[j - 1]
        if cost[i, j] == cost[i - 1, j - 1] + (not same):
            i, j = i - 1, j - 1
            if same:
                pairs.append((i, j))
        elif cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
        else:
            j -= 1
    return int(cost[-1, -1]), pairs[::-1]


@dataclass(slots=True)
class Score:
    """Errors and words so far."""

    errors: int = 0
    words: int = 0

    @property
    def rate(self) -> float:
        """Word error rate."""
        return self.errors / max(1, self.words)

    def add(self, said: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
        """Count a window. Returns the pairs of words heard right."""
        errors, pairs = aligned([plain(word) for word in said], [plain(word) for word in heard])
        self.errors += errors
        self.words += len(said)
        return pairs

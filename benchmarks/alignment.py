"""Which words of one text are which of another. Pure; the minimal edit script is RapidFuzz's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rapidfuzz.distance import Levenshtein

from engine.text import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Alignment:
    """`pairs`: indices (heard, said) of equal words. `wrong`: said and heard as another word.

    `missing`: indices of the words said for which nothing was heard. `invented`: words heard while none was said.
    """

    pairs: tuple[tuple[int, int], ...]
    wrong: int
    missing: tuple[int, ...]
    invented: int


def align(heard: Iterable[str], said: Iterable[str]) -> Alignment:
    """Align two texts with as few edits as possible (the alignment of the word error rate)."""
    pairs: list[tuple[int, int]] = []
    missing: list[int] = []
    wrong = invented = 0
    for step in Levenshtein.opcodes(_normal(heard), _normal(said)):
        if step.tag == "equal":
            pairs += zip(range(step.src_start, step.src_end), range(step.dest_start, step.dest_end), strict=True)
        elif step.tag == "replace":
            wrong += step.src_end - step.src_start
        elif step.tag == "delete":
            invented += step.src_end - step.src_start
        else:
            missing += range(step.dest_start, step.dest_end)
    return Alignment(tuple(pairs), wrong, tuple(missing), invented)


def standing(shown: Sequence[str], later: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Pairs (shown, later) of the words of an output that stand in a later one, of which it shows the beginning.

    `shown` is aligned with that beginning of `later` which it is most like; of several, with the shortest.
    """
    a, b = _normal(shown), _normal(later)
    if a == b[: len(a)]:
        return tuple((i, i) for i in range(len(a)))
    best = min(range(len(b) + 1), key=lambda length: (Levenshtein.distance(a, b[:length]), length))
    return align(shown, later[:best]).pairs


def _normal(words: Iterable[str]) -> list[str]:
    return [normalise(word) for word in words]

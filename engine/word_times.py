"""When each word was said: expected durations of the recognised words, fitted to the sound by dynamic programming.

Whisper's own word times were measured against it on synthetic speech whose word times are known: with a model whose
attention nobody taught to follow the sound, its token timestamps were off by 210 ms in the median, DTW over its
cross-attention by 300 ms, this by 34 ms (`docs/word-times.md`).

Silence is taken out of the window, so that the words tile what is left. A word is expected to last in proportion to
its letters; a boundary is cheap in a pause and in a dip of the energy; a word should not run through a pause. The
boundaries of least total cost are found exactly. Costs are halved squares of standard deviations, fitted on espeak-ng
voices.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from engine.types import Samples, Word

HOP: Final = 160
"""Samples a frame (10 ms): the resolution of the times."""

SPAN: Final = 400
"""Samples over which a frame's level is taken (25 ms)."""

SPREAD: Final = 0.35
"""Standard deviation of a word's duration, relative to what its letters lead to expect."""

LEAST_SPREAD: Final = 4
"""And at least this, in frames."""

LETTERS_OF_ANY_WORD: Final = 1.0
LETTERS_OF_A_MARK: Final = 3.0
"""Letters added for the fixed part of a word, and for the lengthening before a comma or full stop."""

PAUSE: Final = 6
"""Quiet for more frames than this is a pause; less is the closure of a plosive."""

BELOW_LOUD_DB: Final = 24.0
ABOVE_FLOOR_DB: Final = 5.0
ALWAYS_BELOW_DB: Final = 10.0
"""A frame is quiet that far below the loud ones, or no more than that above the noise floor; never nearer to the
loud ones than the last."""

RANGE_DB: Final = 40.0
THROUGH_A_PAUSE: Final = 3.0
PAUSE_WITHOUT_MARK: Final = 2.0
MARK_WITHOUT_PAUSE: Final = 1.0
IN_FULL_SOUND: Final = 2.0
"""Costs: a word that runs through a pause; a boundary in a pause where nothing is written; one after a comma or full
stop outside of a pause; one at full loudness."""

MARKS: Final = frozenset(".,?!;:…。、？！")  # noqa: RUF001 - full-width marks are meant


def align(audio: Samples, words: Sequence[str]) -> tuple[list[int], list[int]]:
    """Find where each word starts and ends in `audio`, in samples from its first.

    `words` carry their punctuation, without spaces. Starts and ends are in order, inside the audio, not overlapping.
    """
    if not words or not len(audio):
        return [0] * len(words), [0] * len(words)
    loudness, quiet = _loudness(audio)
    kept, after_pause = _sounding(quiet)
    if len(kept) <= len(words):  # no sound to speak of
        even = np.linspace(0, len(audio), len(words) + 1).astype(int).tolist()
        return even[:-1], even[1:]
    edges = _edges(words, loudness[kept], after_pause)
    starts = kept[edges[:-1]] * HOP
    ends = np.minimum((kept[edges[1:] - 1] + 1) * HOP, len(audio))
    return np.minimum(starts, ends).tolist(), ends.tolist()


def _edges(words: Sequence[str], loudness: NDArray[np.float64], after_pause: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Frame numbers at which the words begin, and the last one ends: the path of least cost."""
    total = len(loudness)
    marked = [word[-1:] in MARKS for word in words]
    letters = np.array([LETTERS_OF_ANY_WORD + sum(map(str.isalnum, word)) for word in words])
    letters += LETTERS_OF_A_MARK * np.array(marked)
    expected = letters * total / letters.sum()
    spread = np.maximum(SPREAD * expected, LEAST_SPREAD)
    pauses_before = np.cumsum(after_pause)
    at_end = np.maximum(np.arange(total + 1) - 1, 0)
    best = np.full(total + 1, np.inf)  # best[t]: least cost of the words so far within the first t frames
    best[0] = 0.0
    chosen = []
    for index in range(len(words)):
        lengths = np.arange(1, min(total, int(2 * expected[index] + 3 * spread[index])) + 2)
        starts = np.arange(total + 1)[:, None] - lengths[None, :]
        within = starts >= 0
        starts = np.maximum(starts, 0)
        through = np.maximum(pauses_before[at_end][:, None] - pauses_before[np.minimum(starts, total - 1)], 0)
        duration = 0.5 * ((lengths - expected[index]) / spread[index]) ** 2
        cost = np.where(within, best[starts] + duration[None, :] + THROUGH_A_PAUSE * through, np.inf)
        choice = cost.argmin(axis=1)
        chosen.append(lengths[choice])
        best = cost[np.arange(total + 1), choice]
        if index + 1 < len(words):
            best = best + _boundary(loudness, after_pause, marked=marked[index])
    return _backtrack(chosen, total, len(words), reachable=bool(np.isfinite(best[total])))


def _boundary(loudness: NDArray[np.float64], after_pause: NDArray[np.bool_], *, marked: bool) -> NDArray[np.float64]:
    in_sound = IN_FULL_SOUND * loudness + (MARK_WITHOUT_PAUSE if marked else 0.0)
    cost = np.where(after_pause, 0.0 if marked else PAUSE_WITHOUT_MARK, in_sound)
    return np.append(cost, 0.0)


def _backtrack(chosen: Sequence[NDArray[np.intp]], total: int, count: int, *, reachable: bool) -> NDArray[np.intp]:
    if not reachable:
        return np.linspace(0, total, count + 1).astype(np.intp)
    edges = np.zeros(count + 1, np.intp)
    at = total
    for index in range(count, 0, -1):
        edges[index] = at
        at -= int(chosen[index - 1][at])
    return edges


def _loudness(audio: Samples) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Of each frame: its loudness, from 0 (`RANGE_DB` below the loud ones, or less) to 1, and whether it is quiet."""
    count = max(1, len(audio) // HOP)
    padded = np.pad(audio.astype(np.float64) - audio.mean(), (SPAN // 2, SPAN))
    energy = np.cumsum(np.append(0.0, padded**2))
    at = np.arange(count) * HOP
    level = 10 * np.log10(np.maximum(energy[at + SPAN] - energy[at], 0.0) / SPAN + 1e-10)
    loud, floor = np.percentile(level, 95), np.percentile(level, 5)
    quiet = level < max(loud - BELOW_LOUD_DB, min(floor + ABOVE_FLOOR_DB, loud - ALWAYS_BELOW_DB))
    return np.clip((level - loud) / RANGE_DB + 1, 0, 1), quiet


def _sounding(quiet: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The frames that belong to words, and for each whether a pause lies right before it (not for the first)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], quiet, [0]))))
    dropped = np.zeros(len(quiet), bool)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start > PAUSE or start == 0 or end == len(quiet):
            dropped[start:end] = True
    kept = np.flatnonzero(~dropped)
    after_pause = np.diff(kept, prepend=-1) > 1
    after_pause[:1] = False
    return kept, after_pause


def in_order(words: Sequence[Word], floor: int) -> tuple[Word, ...]:
    """The same words with times that neither go back nor overlap, none before `floor`."""
    starts: list[int] = []
    for word in words:
        floor = max(floor, word.start)
        starts.append(floor)
    ends = [
        min(max(word.end, start), following)
        for word, start, following in zip(words, starts, [*starts[1:], 1 << 62], strict=False)
    ]
    return tuple(replace(word, start=start, end=end) for word, start, end in zip(words, starts, ends, strict=True))

"""LocalAgreement-n: a word stands when n hypotheses in a row begin with it; one more if in doubt, one less if certain.

Source: Liu et al. 2020 (Low-Latency Sequence-to-Sequence Speech Recognition and Translation by Partial Hypothesis
Selection); for Whisper: Machacek, Dabre and Bojar 2023 (Turning Whisper into Real-Time Transcription System).
What confidence adds is ours: mishearings of unfinished words are confirmed once quite often, but seldom with
confidence; and a word that was heard whole and with certainty hardly ever changes.
Here an agreement sees only the *tail* of each hypothesis, what comes after the words that already stand
(`engine.seam` finds where that is), so its history is free of window positions.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from engine.text import ends_sentence, normalise
from engine.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.types import Word

MAX_NGRAM: Final = 12
"""Longest phrase looked for in a loop, in words: Whisper's loops repeat a clause or a short sentence."""

REPEATS: Final = (4, 3)
"""How often one word, and a pair of words, may come in a row: "no no no no" is speech, and so is 2222 read out."""

LONGER_REPEATS: Final = 2
"""How often a longer phrase may come in a row."""


DOUBT: Final = 0.8
CERTAINTY: Final = 0.95
"""Confidence below which a word is in doubt, and from which it is certain: `docs/performance.md`."""

WHOLE: Final = SAMPLE_RATE * 3 // 10
"""How far before the end of the window a word must end to count as heard whole, in samples."""


class LocalAgreement:
    """The tails of the last n hypotheses, and what the next one settles."""

    def __init__(self, n: int) -> None:
        if n < 1:
            raise ValueError(f"agreement needs at least one hypothesis, not {n}")
        self._tails: deque[tuple[str, ...]] = deque(maxlen=n)
        self._n = n

    def settle(self, tail: Sequence[Word], *, end: int, paused: bool, due: int = 0) -> int:
        """How many words at the head of `tail` stand now; they are to be left out of the next tail.

        `due`: how many stand whatever was said before. `end`: where the window ended, in samples. With `paused` false
        speech goes on behind it. Then a closing mark on the very last word is only the recognizer's habit of ending
        what it is given, so that word is held back until another follows.
        """
        keys = tuple(normalise(word.text) for word in tail)
        most, enough, least = (self._agreed(keys, self._n + more) for more in (0, -1, -2))
        whole = end if paused else end - WHOLE
        agreed = 0
        while agreed < least:
            word = tail[agreed]
            certain = word.confidence >= CERTAINTY and word.end <= whole
            if agreed >= (least if certain else most if word.confidence < DOUBT else enough):
                break
            agreed += 1
        if agreed and agreed == len(tail) and not paused and ends_sentence(tail[-1].text):
            agreed -= 1
        agreed = max(agreed, due)
        self._tails.append(keys)
        for index, known in enumerate(self._tails):
            self._tails[index] = known[agreed:]
        return agreed

    def _agreed(self, keys: Sequence[str], count: int) -> int:
        """How many of the first words the last `count` hypotheses have in common with the newest."""
        if len(self._tails) < count:
            return 0
        if count <= 0:
            return len(keys)
        earlier = list(self._tails)[len(self._tails) - count :]
        return min(_common_prefix(keys, tail) for tail in earlier)

    def clear(self) -> None:
        """Forget all hypotheses: what comes next is unrelated."""
        self._tails.clear()


def cut_loops(settled: Sequence[Word], tail: Sequence[Word]) -> tuple[Word, ...]:
    """The tail without runaway repetition; words that stand count as its beginning but are never dropped.

    Where a phrase comes again and again, as many copies as `REPEATS` or `LONGER_REPEATS` allow are kept. Words
    behind the loop are kept too: if they are invented, the next hypothesis will not say them again.
    """
    words = [*settled, *tail]
    keys = [normalise(word.text) for word in words]
    dropped: set[int] = set()
    begin = 0
    while begin < len(keys):
        step = 1
        for size in range(1, min(MAX_NGRAM, (len(keys) - begin) // 2) + 1):
            allowed = REPEATS[size - 1] if size <= len(REPEATS) else LONGER_REPEATS
            repeats = _repeats(keys, begin, size)
            if repeats > allowed:
                dropped.update(range(begin + size * allowed, begin + size * repeats))
                step = size * repeats
                break
        begin += step
    return tuple(words[i] for i in range(len(settled), len(words)) if i not in dropped)


def _repeats(keys: Sequence[str], begin: int, size: int) -> int:
    phrase = keys[begin : begin + size]
    count = 1
    while keys[begin + count * size : begin + (count + 1) * size] == phrase:
        count += 1
    return count


def _common_prefix(a: Sequence[str], b: Sequence[str]) -> int:
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return count

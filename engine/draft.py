"""The utterance in the making: which words stand, which are still open, and when they become a final."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from engine import types
from engine.agreement import LocalAgreement, cut_loops
from engine.seam import seam
from engine.text import ends_sentence, normalise
from engine.word_times import in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.types import Event, Word
    from engine.windowing import Plan

ECHO_WORDS: Final = 40
"""How many words of earlier finals are kept to be recognised when a window says them again."""


class Draft:
    """Words that stand (`settled`), words of the newest hypothesis that do not yet (`tail`)."""

    def __init__(self, agreement: int, *, eager: bool, limit: int) -> None:
        """`limit`: after how many samples a final is due even in unbroken speech."""
        self.settled: list[Word] = []
        self.tail: tuple[Word, ...] = ()
        self.past: deque[Word] = deque(maxlen=ECHO_WORDS)
        self._agreement = LocalAgreement(agreement)
        self._eager = eager
        self._limit = limit
        self._shown = ""

    @property
    def last_end(self) -> int:
        """End of the last word that stands, in this utterance or before it."""
        if self.settled:
            return self.settled[-1].end
        return self.final_end

    @property
    def final_end(self) -> int:
        """End of the last word that is final."""
        return self.past[-1].end if self.past else 0

    def next_start(self, ended: int) -> int:
        """Start of the first open word that begins at `ended` or later; `ended` itself if there is none."""
        return next((word.start for word in (*self.settled, *self.tail) if word.start >= ended), ended)

    def update(
        self, hypothesis: types.Hypothesis, plan: Plan, *, echo_from: int, tentative: bool = False
    ) -> list[Event]:
        """Take in what was heard in the newest window; return the finals and the partial that follow from it.

        `plan` is the window's. Words that stand and begin at `echo_from` or later may come again in it. Words that end
        at or before `plan.settle_until` stand whatever earlier hypotheses said: no later window will hear them better.
        With `tentative` no others do: the language may be another one.
        """
        known = [word for word in (*self.past, *self.settled) if word.start >= echo_from]
        at = seam(known, hypothesis.words)
        self._refresh(hypothesis.words[:at])
        tail = cut_loops(self.settled, in_order(hypothesis.words[at:], self.last_end))
        due = sum(word.end <= plan.settle_until for word in tail)
        count = due if tentative else self._agreement.settle(tail, end=plan.end, paused=plan.paused, due=due)
        self.settled += tail[:count]
        self.tail = tail[count:]
        return [*self._finals(hypothesis.language, paused=plan.paused), *self._partial()]

    def close(self, language: str) -> list[Event]:
        """The utterance is over: all that was heard stands. Returns its final, if it has any words."""
        self.stand()
        return [self._final(len(self.settled), language)] if self.settled else []

    def stand(self) -> None:
        """Nothing better will come: all that was heard stands."""
        self.settled += self.tail
        self.restart()

    def restart(self) -> None:
        """Forget what is open: the next window begins in a pause, with nothing carried over."""
        self.tail = ()
        self._agreement.clear()

    def _finals(self, language: str, *, paused: bool) -> Iterable[Event]:
        while (count := self._sentence(paused=paused)) or (count := self._overlong()):
            yield self._final(count, language)

    def _sentence(self, *, paused: bool) -> int:
        """How many settled words make the first sentence; 0 while its end is not certain."""
        following = [*self.settled[1:], *self.tail[:1]]
        for index, word in enumerate(self.settled):
            if ends_sentence(word.text):
                goes_on = index < len(following) and following[index].text.strip()[:1].islower()
                if not goes_on and (paused or index < len(following)):
                    return index + 1
        return 0

    def _overlong(self) -> int:
        if not self.settled or self.settled[-1].end - self.settled[0].start < self._limit:
            return 0
        return len(self.settled)

    def _final(self, count: int, language: str) -> types.Final:
        words = in_order(self.settled[:count], self.final_end)
        self.past.extend(words)
        del self.settled[:count]
        self._shown = ""
        return types.Final(words, language)

    def _partial(self) -> Iterable[Event]:
        text = "".join(word.text for word in (*self.settled, *(self.tail if self._eager else ())))
        if text and text != self._shown:
            self._shown = text
            yield types.Partial(text)

    def _refresh(self, again: Sequence[Word]) -> None:
        """Give settled words that were heard again the times and confidence of the newer, longer look.

        The first word of a window is left out: its beginning may lie before the window.
        """
        for back in range(1, min(len(self.settled), len(again) - 1) + 1):
            old, new = self.settled[-back], again[-back]
            if normalise(old.text) == normalise(new.text):
                self.settled[-back] = replace(old, start=new.start, end=new.end, confidence=new.confidence)

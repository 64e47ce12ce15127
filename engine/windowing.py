"""Which stretch of an utterance is decoded next, and where the window after it begins.

The *cursor* is where the next window begins. It follows the words that stand: into the pause behind them, or a breath
of context before their end where nobody pauses. A window that would get too long is cut at the best pause in its
second half; in speech without a pause it is cut all the same, and the last words before the cut are left to the next
window. Positions are samples of the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.endpointing import LEAD
from engine.types import FRAME, SAMPLE_RATE

if TYPE_CHECKING:
    from engine.endpointing import Endpointer, Utterance
    from engine.policy import Policy

COVER: Final = SAMPLE_RATE * 15 // 100
"""A hypothesis covers an utterance if its window reached this far beyond the last speech."""

OVERLAP: Final = SAMPLE_RATE * 6 // 10
"""Where a window had to be cut in mid-speech, words that end this close to the cut wait for the next window."""

CONTEXT: Final = SAMPLE_RATE
"""Audio before the last settled word's end that stays in the window when it is shortened in mid-speech."""

NEAR: Final = SAMPLE_RATE * 4 // 10
"""How far from a word's end a pause is looked for: the size of Whisper's timing errors."""

SURE: Final = 2 * FRAME
"""Silence on both sides of a cut (three frames in all) that makes it a clean one: within words the detector misses a
frame now and then ("Arzt", "opens")."""

LEAD_IN: Final = SAMPLE_RATE // 20
"""A window between two words begins this long before the place that was found: 50 ms. A short word that begins with
the window's first sample is often not heard. On twelve monologues of 40 s, fed at three offsets, 9 of 3855 words were
missing without it, 1 with it, and 4 with 100 ms."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A window to come. Words ending by `settle_until` stand afterwards; `clean`: nothing is carried over its end."""

    start: int
    end: int
    paused: bool
    settle_until: int = 0
    closes: bool = False
    clean: bool = False


class Windowing:
    """The cursor, how far has been heard, and the plans that follow from them."""

    def __init__(self, policy: Policy, endpointer: Endpointer) -> None:
        self.cursor = 0
        self.heard = 0
        """End of the newest window that has a hypothesis."""
        self._heard_before = 0
        self._tried = 0
        self.step = policy.step
        """Least new audio between two windows while somebody speaks."""
        self._policy = policy
        self._endpointer = endpointer

    def plan(self, received: int) -> Plan | None:
        """The newest window worth decoding when `received` samples have come, or None."""
        if not self._endpointer.utterances:
            return None
        utterance = self._endpointer.utterances[0]
        start = max(self.cursor, utterance.begin)
        end = min(utterance.end, received)
        if end - start > self._policy.max_window:
            return self._cut(start)
        if utterance.closed:
            return Plan(start, end, paused=True, settle_until=end, closes=True)
        paused = self._endpointer.paused
        new = end - max(self.heard, self._tried, utterance.begin + LEAD)
        worthwhile = end > self._tried and not self.covers(utterance, received) if paused else new >= self.step
        return Plan(start, end, paused) if worthwhile else None

    def hear(self, end: int) -> None:
        """A window that ends there has a hypothesis."""
        self._heard_before, self.heard = self.heard, end

    def miss(self, end: int) -> None:
        """A window that ends there came to nothing; the next one is to bring more, or end the utterance."""
        self._tried = end

    def covers(self, utterance: Utterance, received: int) -> bool:
        """Whether all speech of the utterance so far has a hypothesis."""
        return self.suffices(self.heard, utterance, received)

    def suffices(self, end: int, utterance: Utterance, received: int) -> bool:
        """Whether a window that ends there holds all speech of the utterance so far."""
        return end >= min(utterance.speech_end + COVER, utterance.end, received)

    def echo_from(self, start: int) -> int:
        """Words that begin here or later may be heard again in a window that begins at `start`.

        In a pause there is no doubt about what went before. (Frames before the cursor are forgotten.)
        """
        in_speech = self._endpointer.speech_between(start, start + LEAD_IN + FRAME)
        return start - NEAR if in_speech else start

    def move(self, position: int) -> None:
        """The next window begins no earlier than this."""
        self.cursor = max(self.cursor, position)

    def follow(self, plan: Plan, ended: int, next_word: int, *, final: bool) -> None:
        """A plan has been heard. Words up to `ended` stand, or are `final`; the next begins at `next_word`."""
        if plan.clean:
            self.move(plan.end)
        elif final:
            self.move(self._gap(ended, next_word))
        elif plan.settle_until or plan.end - plan.start > self._policy.trim:
            self._follow_settled(min(ended, plan.end), next_word)
        if plan.settle_until and not plan.closes and self.cursor <= plan.start:
            # Hardly a word was heard where all had to be settled: there are none, or the model does not hear them.
            # Without this the same window would come again and again.
            self.move(plan.settle_until)

    def _follow_settled(self, ended: int, next_word: int) -> None:
        """Keep what is behind the words that stand, and the context that the next hypothesis needs."""
        cut = self._gap(ended, next_word)
        if self._endpointer.speech_between(cut - FRAME, cut + FRAME):
            cut = self._endpointer.quietest(ended - CONTEXT - NEAR, ended - CONTEXT + NEAR)
        self.move(cut)

    def _cut(self, start: int) -> Plan:
        """A window of an utterance too long for one: up to its best pause, or through mid-speech with an overlap."""
        longest = self._policy.max_window
        end = self._endpointer.quietest(start + longest // 2, start + longest)
        clean = not self._endpointer.speech_between(end - SURE, end + SURE)
        return Plan(start, end, paused=clean, settle_until=end if clean else end - OVERLAP, clean=clean)

    def _gap(self, ended: int, next_word: int) -> int:
        """Where to cut between two words: hardly into the next, or it would be lost.

        Word times share out all the sound, that of words at the window's end which were not recognised yet included,
        so the last words may seem to end later than they do. As a rule the window before this one held them, too.
        (Of the words counted at `LEAD_IN`, 20 were missing without it and without looking sooner.)
        """
        sooner = min(ended, max(self._heard_before, ended - NEAR))
        place = self._endpointer.quietest(sooner - NEAR, max(ended, next_word) + NEAR // 4, otherwise=ended)
        return place - LEAD_IN

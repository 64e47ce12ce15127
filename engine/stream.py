"""One live stream: PCM goes in, windows to decode come out; hypotheses go in, partials and finals come out.

Theory of operation
-------------------
The shell feeds audio as it arrives (`feed`) and, whenever it has a recognizer to spare, asks for the newest window
worth decoding (`next_window`). It hands the hypothesis back (`accept`, or `fail`) and sends what `take_events` gives.
There is no queue of audio: a slow recognizer is asked less often and gets a longer window.

The audio of an utterance is decoded from the *cursor* to its newest sample. Words that the last n hypotheses agree on
stand; the cursor follows them in pauses, or a breath of context behind them, so that windows stay short. A window that
would get longer than `Policy.max_window` (a recognizer that fell behind, a client faster than real time) is cut at the
best pause in its second half, and what it says stands at once: falling behind costs partials, never words and never
ever-growing lag.

When somebody pauses, the window up to the pause is decoded at once; if the pause then turns out to be the end of the
utterance, that hypothesis is its final and nothing is decoded again.

No clock, no thread, no IO; positions are samples from the first one.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from engine import types
from engine.audio import AudioBuffer, PcmDecoder
from engine.draft import Draft
from engine.endpointing import Endpointer
from engine.errors import InvalidAudioError
from engine.language import SpokenLanguage
from engine.types import BYTES_PER_SAMPLE, FRAME, SAMPLE_RATE, Event, Hypothesis, Window
from engine.windowing import NEAR, Plan, Windowing

if TYPE_CHECKING:
    from engine.policy import Policy
    from engine.vad import SpeechDetector

BUFFER: Final = 30 * SAMPLE_RATE
"""Most audio that waits in memory; Whisper's own window, and twice and more the longest one used here."""

SLACK: Final = SAMPLE_RATE // 2
"""Buffer kept free for what a resampler holds back and lets go at once, at the end of the stream at the latest."""

MAX_FAILURES: Final = 2
"""Failed attempts at the end of an utterance after which it is closed with what is known."""


class Stream:
    """The state of one stream. Every method is synchronous and quick; none may be called from two threads at once."""

    def __init__(self, policy: Policy, detector: SpeechDetector, *, rate: int = SAMPLE_RATE) -> None:
        """`rate`: samples a second of the PCM that will be fed."""
        self._policy = policy
        self._detector = detector
        self._pcm = PcmDecoder(rate)
        self._buffer = AudioBuffer(BUFFER)
        self._endpointer = Endpointer(policy.endpoint)
        self._draft = Draft(policy.agreement, eager=policy.eager, limit=policy.max_utterance)
        self._events: deque[Event] = deque()
        self._framed = 0  # samples that the detector has seen
        self._windows = Windowing(policy, self._endpointer)
        self._language = SpokenLanguage(policy.language)
        self._pending: Plan | None = None
        self._failures = 0
        self._given_up = 0  # end of the last window that was
        self._finished = False

    # ------------------------------------------------------------------------------------------------ audio in

    @property
    def room(self) -> int:
        """Bytes of PCM that can be fed now; when it is too small, wait until hypotheses have come in."""
        free = (self._buffer.room - SLACK) * self._pcm.rate // SAMPLE_RATE
        return max(0, free) * BYTES_PER_SAMPLE

    @property
    def received(self) -> int:
        """Samples taken in so far."""
        return self._buffer.end

    @property
    def language(self) -> str | None:
        """The language set or last detected."""
        return self._language.known

    def feed(self, pcm: bytes) -> None:
        """Take in the next PCM. Raises `InvalidAudioError` for more than the buffer holds, or after `finish`.

        What is within `room` always fits.
        """
        if self._finished:
            raise InvalidAudioError("the stream has been finished; it takes no more audio")
        self._buffer.append(self._pcm.decode(pcm))
        self._advance()

    def flush(self) -> None:
        """End the current utterance here, whatever the silence; the stream goes on."""
        self._endpointer.close(self.received)
        self._advance()

    def finish(self) -> None:
        """No more audio will come. `done` turns true when all of it has become finals."""
        if self._finished:
            return
        self._finished = True
        self._buffer.append(self._pcm.flush())
        self._advance()
        self._endpointer.close(self.received)
        self._advance()

    # ------------------------------------------------------------------------------------------------ decoding

    def stretch(self, factor: float) -> None:
        """From now on let that many times the policy's step come in between two windows: for a host that is busy."""
        self._windows.step = int(factor * self._policy.step)

    @property
    def due(self) -> bool:
        """Whether there is a window worth decoding."""
        return self._pending is None and self._windows.plan(self.received) is not None

    @property
    def urgent(self) -> bool:
        """Whether a final waits for the next window, or for the one in flight."""
        return bool(self._endpointer.utterances) and self._endpointer.utterances[0].closed

    @property
    def superseded(self) -> bool:
        """Whether the window in flight is not worth finishing: a longer one will settle all that it could say."""
        plan = self._pending
        if plan is None or not self.urgent or plan.settle_until:
            return False
        return not self._windows.suffices(plan.end, self._endpointer.utterances[0], self.received)

    @property
    def done(self) -> bool:
        """Whether the stream has been finished and every word of it is in a final."""
        return self._finished and self._pending is None and not self._endpointer.utterances

    def next_window(self) -> Window | None:
        """The newest window worth decoding, or None. Its outcome must come back by `accept` or `fail`."""
        plan = None if self._pending else self._windows.plan(self.received)
        if plan is None:
            return None
        self._pending = plan
        return Window(
            self._buffer.copy(plan.start, plan.end),
            plan.start,
            self._language.code,
            self._language.in_doubt(plan.end - plan.start),
            self._policy.task,
            self._prompt(),
        )

    def accept(self, hypothesis: Hypothesis) -> None:
        """What the window in flight was heard as."""
        plan = self._take_pending()
        self._failures = 0
        self._windows.hear(plan.end)
        if self._language.in_doubt(plan.end - plan.start):
            self._language.detected(hypothesis.language, plan.end - plan.start)
        echo_from = self._windows.echo_from(plan.start)
        events = self._draft.update(hypothesis, plan, echo_from=echo_from, tentative=self._language.tentative)
        if plan.clean:
            self._draft.restart()
        final = any(isinstance(event, types.Final) for event in events)
        ended = self._draft.final_end if final else self._draft.last_end
        self._windows.follow(plan, ended, self._draft.next_start(ended), final=final)
        self._events += events
        self._advance()

    @property
    def incomplete(self) -> bool:
        """Whether speech behind the last final was given up: the same audio, heard again, may well have more words."""
        return self._given_up > self._draft.final_end

    def fail(self) -> bool:
        """The window in flight came to nothing (aborted, or the recognizer failed). What is known is kept.

        Returns whether what else was said in it is given up, as it failed before.
        """
        plan = self._take_pending()
        given_up = False
        self._windows.miss(plan.end)
        if plan.settle_until:
            self._failures += 1
            if given_up := self._failures >= MAX_FAILURES:
                self._failures = 0
                self._given_up = plan.end
                self._windows.hear(plan.end)
                if not plan.closes:
                    self._draft.stand()
                    self._windows.move(plan.end)
        self._advance()
        return given_up

    @property
    def has_events(self) -> bool:
        """Whether `take_events` would give any."""
        return bool(self._events)

    def take_events(self) -> list[Event]:
        """The partials and finals since the last call, in order."""
        events = list(self._events)
        self._events.clear()
        return events

    def _prompt(self) -> str:
        """What the decoder is told before the window: the prompt that was set, and words that lie before the cursor.

        Models that were hardly trained on prompts lose far more by it than they gain, so it can be left out.
        """
        if not self._policy.carry_prompt:
            return self._policy.prompt
        words = [w for w in (*self._draft.past, *self._draft.settled) if w.start < self._windows.cursor - NEAR]
        return self._policy.prompt + "".join(word.text for word in words)

    def _take_pending(self) -> Plan:
        if self._pending is None:
            raise RuntimeError("no window is in flight")
        plan, self._pending = self._pending, None
        return plan

    def _advance(self) -> None:
        """Do all that needs no recognizer: detect speech, close what is covered, forget what is done."""
        while self._buffer.end - self._framed >= FRAME:
            frame = self._buffer.copy(self._framed, self._framed + FRAME)
            self._endpointer.feed(frame, speech=self._detector.is_speech(frame))
            self._framed += FRAME
        utterances = self._endpointer.utterances
        while (
            self._pending is None
            and utterances
            and utterances[0].closed
            and self._windows.covers(utterances[0], self.received)
        ):
            self._events += self._draft.close(self._language.code)
            self._windows.move(utterances.popleft().speech_end)
            self._language.start_over()
        idle = self._framed - SAMPLE_RATE
        keep = max(self._windows.cursor, utterances[0].begin) if utterances else max(self._windows.cursor, idle)
        self._buffer.discard(min(keep, self._framed))
        self._endpointer.forget(min(keep, self._framed))

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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine import types
from engine.audio import AudioBuffer, PcmDecoder
from engine.draft import Draft
from engine.endpointing import LEAD, Endpointer
from engine.errors import InvalidAudioError
from engine.types import BYTES_PER_SAMPLE, SAMPLE_RATE, Event, Hypothesis, Window
from engine.vad import FRAME

if TYPE_CHECKING:
    from engine.endpointing import Utterance
    from engine.vad import SpeechDetector

BUFFER: Final = 30 * SAMPLE_RATE
"""Most audio that waits in memory; Whisper's own window, and twice and more the longest one used here."""

SLACK: Final = SAMPLE_RATE // 2
"""Buffer kept free for what a resampler holds back and lets go at once, at the end of the stream at the latest."""

COVER: Final = SAMPLE_RATE * 15 // 100
"""A hypothesis covers an utterance if its window reached this far beyond the last speech."""

OVERLAP: Final = SAMPLE_RATE * 6 // 10
"""Where a window had to be cut in mid-speech, words that end this close to the cut wait for the next window."""

CONTEXT: Final = SAMPLE_RATE
"""Audio before the last settled word's end that stays in the window when it is shortened in mid-speech."""

NEAR: Final = SAMPLE_RATE * 4 // 10
"""How far from a word's end a pause is looked for: the size of Whisper's timing errors."""

SURE_OF_LANGUAGE: Final = 2 * SAMPLE_RATE
"""Speech that language identification needs to be trusted."""

FIRST_GUESS: Final = "en"
MAX_FAILURES: Final = 2
"""Failed attempts at the end of an utterance after which it is closed with what is known."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a stream becomes a transcript. Durations in samples.

    `agreement`: hypotheses that must agree. `endpoint`: silence that ends an utterance. `max_utterance`: a final is
    due after this even in unbroken speech. `step`: least new audio between two windows. `trim`: windows longer than
    this are shortened at a settled word. `max_window`: windows are never longer. `language`: a code or "auto".
    `carry_prompt`: whether the model bears being told what was said before (see `_prompt`).
    """

    agreement: int = 2
    endpoint: int = SAMPLE_RATE * 6 // 10
    max_utterance: int = 15 * SAMPLE_RATE
    step: int = SAMPLE_RATE * 3 // 10
    trim: int = 6 * SAMPLE_RATE
    max_window: int = 8 * SAMPLE_RATE
    language: str = "auto"
    task: str = "transcribe"
    prompt: str = ""
    eager: bool = False
    carry_prompt: bool = True


@dataclass(frozen=True, slots=True)
class _Plan:
    """A window to come. Words ending by `settle_until` stand afterwards; `clean`: nothing is carried over its end."""

    start: int
    end: int
    detect: bool
    paused: bool
    settle_until: int = 0
    closes: bool = False
    clean: bool = False


class Stream:
    """The state of one stream. Every method is synchronous and quick; none may be called from two threads at once."""

    def __init__(self, policy: Policy, detector: SpeechDetector, *, rate: int = SAMPLE_RATE) -> None:
        """`rate`: samples a second of the PCM that will be fed."""
        self._policy = policy
        self._detector = detector
        self._pcm = PcmDecoder(rate)
        self._buffer = AudioBuffer(BUFFER)
        self._endpointer = Endpointer(policy.endpoint)
        self._draft = Draft(policy.agreement, eager=policy.eager)
        self._events: deque[Event] = deque()
        self._framed = 0  # samples that the detector has seen
        self._cursor = 0  # where the next window begins
        self._heard = 0  # end of the newest window that has a hypothesis
        self._pending: _Plan | None = None
        self._failures = 0
        self._language: str | None = None if policy.language == "auto" else policy.language
        self._language_is_sure = policy.language != "auto"
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
        return self._language

    def feed(self, pcm: bytes) -> None:
        """Take in the next PCM, at most `room` bytes. Raises `InvalidAudioError` for more, or after `finish`."""
        if self._finished:
            raise InvalidAudioError("the stream has been finished; it takes no more audio")
        self._buffer.append(self._pcm.decode(pcm))
        self._advance()

    def flush(self) -> None:
        """End the current utterance here, whatever the silence; the stream goes on."""
        self._endpointer.close()
        self._advance()

    def finish(self) -> None:
        """No more audio will come. `done` turns true when all of it has become finals."""
        if self._finished:
            return
        self._finished = True
        self._buffer.append(self._pcm.flush())
        self._advance()
        self._endpointer.close()
        self._advance()

    # ------------------------------------------------------------------------------------------------ decoding

    @property
    def due(self) -> bool:
        """Whether there is a window worth decoding."""
        return self._pending is None and self._plan() is not None

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
        return plan.end < self._endpointer.utterances[0].speech_end + COVER

    @property
    def done(self) -> bool:
        """Whether the stream has been finished and every word of it is in a final."""
        return self._finished and self._pending is None and not self._endpointer.utterances

    def next_window(self) -> Window | None:
        """The newest window worth decoding, or None. Its outcome must come back by `accept` or `fail`."""
        plan = None if self._pending else self._plan()
        if plan is None:
            return None
        self._pending = plan
        return Window(
            self._buffer.copy(plan.start, plan.end),
            plan.start,
            self._language or FIRST_GUESS,
            plan.detect,
            self._policy.task,
            self._prompt(),
        )

    def accept(self, hypothesis: Hypothesis) -> None:
        """What the window in flight was heard as."""
        plan = self._take_pending()
        self._failures = 0
        self._heard = plan.end
        if plan.detect:
            self._language = hypothesis.language
            self._language_is_sure = plan.end - plan.start >= SURE_OF_LANGUAGE
        events = self._draft.update(
            hypothesis,
            echo_from=self._cursor - NEAR,
            paused=plan.paused,
            settle_until=plan.settle_until,
            limit=self._policy.max_utterance,
        )
        if plan.clean:
            self._draft.restart()
            self._move_cursor(plan.end)
        elif any(isinstance(event, types.Final) for event in events):
            self._trim_to_final()
        elif plan.settle_until or plan.end - plan.start > self._policy.trim:
            self._trim_to_settled(plan)
        self._events += events
        self._advance()

    def fail(self) -> None:
        """The window in flight came to nothing (aborted, or the recognizer failed). What is known is kept."""
        plan = self._take_pending()
        if plan.closes or plan.settle_until:
            self._failures += 1
            if self._failures >= MAX_FAILURES:
                self._failures = 0
                self._heard = plan.end
                if not plan.closes:
                    self._draft.settled += self._draft.tail
                    self._draft.restart()
                    self._move_cursor(plan.end)
        self._advance()

    def take_events(self) -> list[Event]:
        """The partials and finals since the last call, in order."""
        events = list(self._events)
        self._events.clear()
        return events

    # ------------------------------------------------------------------------------------------------ decisions

    def _plan(self) -> _Plan | None:
        if not self._endpointer.utterances:
            return None
        utterance = self._endpointer.utterances[0]
        start = max(self._cursor, utterance.begin)
        end = min(utterance.end, self._buffer.end)
        sure = self._language_is_sure or (self._language is not None and end - start < SURE_OF_LANGUAGE)
        if end - start > self._policy.max_window:
            return self._cut(start, detect=not sure)
        if utterance.closed:
            return _Plan(start, end, not sure, paused=True, settle_until=end, closes=True)
        paused = self._endpointer.paused
        new = end - max(self._heard, utterance.begin + LEAD)
        worthwhile = not self._covers(utterance) if paused else new >= self._policy.step
        return _Plan(start, end, not sure, paused) if worthwhile else None

    def _cut(self, start: int, *, detect: bool) -> _Plan:
        """A window of an utterance too long for one: up to its best pause, or through mid-speech with an overlap."""
        longest = self._policy.max_window
        end = self._endpointer.quietest(start + longest // 2, start + longest)
        clean = not self._endpointer.speech_between(end - FRAME, end + FRAME)
        return _Plan(start, end, detect, paused=clean, settle_until=end if clean else end - OVERLAP, clean=clean)

    def _covers(self, utterance: Utterance) -> bool:
        return self._heard >= min(utterance.speech_end + COVER, self._buffer.end)

    def _trim_to_final(self) -> None:
        """Begin the next window behind the words that have just become final, where the sound is weakest."""
        self._move_cursor(self._gap_after(self._draft.past[-1].end))

    def _trim_to_settled(self, plan: _Plan) -> None:
        """Shorten a window in mid-sentence to what is not settled, plus the context that the next hypothesis needs."""
        settled = min(self._draft.last_end, plan.end)
        if settled <= self._cursor and plan.settle_until:
            self._move_cursor(plan.settle_until)  # nothing was heard where something had to be settled: no speech
            return
        cut = self._gap_after(settled)
        if self._endpointer.speech_between(cut - FRAME, cut + FRAME):
            cut = self._endpointer.quietest(settled - CONTEXT - NEAR, settled - CONTEXT + NEAR)
        self._move_cursor(cut)

    def _gap_after(self, ended: int) -> int:
        """Where to cut between a word that ended and the next: hardly into the next, or it would be lost."""
        following = [word.start for word in (*self._draft.settled, *self._draft.tail) if word.start >= ended]
        resumed = following[0] if following else ended
        return self._endpointer.quietest(ended - NEAR, resumed + NEAR // 4, otherwise=ended)

    def _move_cursor(self, position: int) -> None:
        self._cursor = max(self._cursor, position)

    def _prompt(self) -> str:
        """What the decoder is told before the window: the prompt that was set, and words that lie before the cursor.

        Models that were hardly trained on prompts lose far more by it than they gain, so it can be left out.
        """
        if not self._policy.carry_prompt:
            return self._policy.prompt
        words = [w for w in (*self._draft.past, *self._draft.settled) if w.start < self._cursor - NEAR]
        return self._policy.prompt + "".join(word.text for word in words)

    def _take_pending(self) -> _Plan:
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
        while self._pending is None and utterances and utterances[0].closed and self._covers(utterances[0]):
            self._events += self._draft.close(self._language or FIRST_GUESS)
            self._move_cursor(utterances.popleft().speech_end)
            self._language_is_sure = self._policy.language != "auto"
        idle = self._framed - SAMPLE_RATE
        keep = max(self._cursor, utterances[0].begin) if utterances else max(self._cursor, idle)
        self._buffer.discard(min(keep, self._framed))
        self._endpointer.forget(min(keep, self._framed))

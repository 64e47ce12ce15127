"""A session from its first frame to its export, to the exact time: a scripted recognizer under a clock that is stepped.

What needs the real socket, disk and whisper.cpp is in `test_live_path.py` and `test_bad_input.py`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from engine.errors import ModelError
from engine.scripted import ScriptedRecognizer
from engine.types import SAMPLE_RATE, Hypothesis, Window
from server.streams.services import StreamLimits
from tests.virtual_session import (
    EXPORT_ID,
    MANY,
    SEND_TIMEOUT,
    STALL,
    WORDS,
    Loudness,
    MemoryRecorder,
    Talker,
    VirtualPool,
    at_speech_speed,
    serve,
    spoken,
)

if TYPE_CHECKING:
    import numpy as np
    from trio.testing import MockClock


async def test_eof_in_the_middle_of_an_inference_gives_it_up_and_loses_nothing(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS[:5])
    pool = VirtualPool(ScriptedRecognizer(script), seconds=1.0)
    talker = Talker(*at_speech_speed(pcm, "eof"))
    recorder = await serve(talker, pool)
    assert pool.aborted == 1
    assert talker.words == WORDS[:5]
    assert " ".join(recorder.finals).split() == WORDS[:5]
    # The speech took 2.5 s; the last window was decoded from then on, in one inference.
    assert talker.finals[-1][0] == 3.5
    assert talker.got[-1] == (3.5, EXPORT_ID)
    assert (talker.code, recorder.state) == (1000, "complete")


async def test_a_slow_recognizer_costs_partials_but_never_lags_more_and_more(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(MANY)  # 30 s of unbroken speech
    counts: list[int] = []
    for seconds in (0.05, 2.0):
        talker = Talker(*at_speech_speed(pcm, "eof"))
        await serve(talker, VirtualPool(ScriptedRecognizer(script), seconds))
        assert talker.words == MANY
        assert talker.got[-1][0] <= 30 + 2 * seconds
        counts.append(len(talker.partials))
    assert counts[1] < counts[0] / 3


async def test_silence_on_the_line_makes_a_final_without_eof(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS[:3])
    talker = Talker(*at_speech_speed(pcm), (60.0, "eof"))
    await serve(talker, VirtualPool(ScriptedRecognizer(script), seconds=0.1))
    assert talker.words == WORDS[:3]
    assert talker.finals[-1][0] == pytest.approx(1.5 + STALL, abs=0.101)


async def test_a_client_that_does_not_read_is_ended_and_its_export_is_complete(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(MANY)
    talker = Talker(*at_speech_speed(pcm), reads=False)
    recorder = await serve(talker, VirtualPool(ScriptedRecognizer(script), seconds=0.1))
    assert talker.aborted
    heard = len(recorder.pcm) / (2 * SAMPLE_RATE)
    assert SEND_TIMEOUT < heard < SEND_TIMEOUT + 3  # it was ended a timeout after the first partial
    said = " ".join(recorder.finals).split()
    # The last word was cut off in the middle, and may have been misheard.
    assert said[:-1] == MANY[: len(said) - 1]
    assert len(said) >= 2 * int(heard) - 1
    assert recorder.state == "complete"


async def test_who_does_not_read_holds_up_nobody_else(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS)
    pool = VirtualPool(ScriptedRecognizer(script), seconds=0.1)
    deaf = Talker(*at_speech_speed(pcm, "eof"), reads=False)
    other = Talker(*at_speech_speed(pcm, "eof"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, deaf, pool)
        nursery.start_soon(serve, other, pool)
    assert other.words == WORDS
    assert other.got[-1][0] < 5.5


class SlowReader(Talker):
    """Takes a while over each frame, but never so long that it is given up."""

    def __init__(self, *frames: tuple[float, bytes | str], seconds: float) -> None:
        super().__init__(*frames)
        self._seconds = seconds
        self.taken = 0
        self.most = 0

    async def receive(self) -> bytes | str:
        message = await super().receive()
        self.taken += 1
        self.most = max(self.most, self.taken - len(self.got))
        return message

    async def send(self, text: str) -> None:
        await trio.sleep(self._seconds)
        await super().send(text)

    async def ping(self) -> None:
        await trio.sleep_forever()  # what is not read is not answered either


async def test_who_reads_slowly_is_listened_to_slowly_and_loses_nothing(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS)
    frames: list[tuple[float, bytes | str]] = [(0.0, "no command")] * 2_000
    talker = SlowReader(*frames, *((0.0, frame) for _, frame in at_speech_speed(pcm, "eof")), seconds=SEND_TIMEOUT - 1)
    limits = StreamLimits(STALL, SEND_TIMEOUT, idle=60.0, ping=5.0, resume=20.0)
    pool = VirtualPool(ScriptedRecognizer(script), seconds=0.1)
    recorder = await serve(talker, pool, limits=limits, patience=1e6)
    assert len(talker.messages) == 2_000 + len(talker.finals) + len(talker.partials)
    assert talker.words == WORDS
    assert (talker.got[-1][1], talker.code, recorder.state) == (EXPORT_ID, 1000, "complete")
    assert talker.most < 500


async def test_a_close_without_eof_finishes_at_once(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS[:4])
    talker = Talker(*at_speech_speed(pcm), closes=True)
    recorder = await serve(talker, VirtualPool(ScriptedRecognizer(script), seconds=0.1))
    assert " ".join(recorder.finals).split() == WORDS[:4]
    assert recorder.state == "complete"


async def test_a_full_disk_is_told_and_ends_the_stream(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken([*WORDS[:3]], silence=1.0)
    talker = Talker(*at_speech_speed(pcm * 3, "eof"))
    recorder = await serve(
        talker, VirtualPool(ScriptedRecognizer(script), seconds=0.1), recorder=MemoryRecorder(fails_at=1)
    )
    errors = [message for _, message in talker.messages if "error" in message]
    assert [error["error"] for error in errors] == ["storage"]
    assert "disk is full" in errors[0]["message"]
    assert talker.words[:3] == WORDS[:3]  # what was heard is still said
    assert talker.code == 1011
    assert EXPORT_ID not in [text for _, text in talker.got]
    assert len(recorder.pcm) < len(pcm * 3)
    assert recorder.closed


async def test_a_shutdown_says_so_and_finishes_what_was_heard(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS)
    talker = Talker(*at_speech_speed(pcm, "eof"))
    draining = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            partial(serve, talker, VirtualPool(ScriptedRecognizer(script), seconds=0.1), draining=draining)
        )
        await trio.sleep(2.55)
        draining.set()
    assert talker.words == WORDS[:5]
    assert [message["error"] for _, message in talker.messages if "error" in message] == ["shutting_down"]
    assert talker.got[-1][1] == EXPORT_ID
    assert talker.got[-1][0] < 3


class Mistaken(Loudness):
    """A detector with a bug: two seconds of frames are too many for it."""

    def __init__(self) -> None:
        self._frames = 0

    def is_speech(self, frame: np.ndarray) -> bool:
        self._frames += 1
        return super().is_speech(frame) and 1 // (self._frames < 60) > 0


async def test_a_mistake_in_the_server_is_no_normal_end(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS)
    talker = Talker(*at_speech_speed(pcm, "eof"))
    recorder = MemoryRecorder()
    pool = VirtualPool(ScriptedRecognizer(script), seconds=0.1)
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await serve(talker, pool, recorder=recorder, detector=Mistaken)
    assert talker.code == 1011
    assert EXPORT_ID not in [text for _, text in talker.got]
    assert (recorder.state, recorder.closed) == ("interrupted", True)


async def test_a_client_that_says_nothing_is_let_go_without_an_export(autojump_clock: MockClock) -> None:
    del autojump_clock
    talker = Talker((1.0, '{"config": {"language": "en"}}'))
    limits = StreamLimits(STALL, SEND_TIMEOUT, idle=60.0)
    recorder = await serve(talker, VirtualPool(ScriptedRecognizer([]), seconds=0.1), limits=limits)
    assert [(at, message["error"]) for at, message in talker.messages] == [(61.0, "idle_timeout")]
    assert (talker.code, recorder.state) == (1001, "none")


class Deaf:
    """Fails at whatever overlaps a stretch of the stream."""

    def __init__(self, recognizer: ScriptedRecognizer, start: float, end: float) -> None:
        self._recognizer = recognizer
        self._start, self._end = int(start * SAMPLE_RATE), int(end * SAMPLE_RATE)

    def recognize(self, window: Window, *, threads: int, should_abort: Any) -> Hypothesis:
        if window.start < self._end and self._start < window.end:
            raise ModelError("the model has failed")
        return self._recognizer.recognize(window, threads=threads, should_abort=should_abort)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("start", "end", "state"),
    [
        (3.0, 99.0, "interrupted"),  # nothing final comes behind it, so it can be heard again at the next start
        (0.0, 2.0, "complete"),  # a hole before what has become final stays one
    ],
)
async def test_speech_that_no_inference_hears_is_told_to_its_client(
    autojump_clock: MockClock, start: float, end: float, state: str
) -> None:
    del autojump_clock
    before, script = spoken(WORDS[:3], silence=1.5)
    pcm = before * 2
    again = [replace(word, start=word.start + 48_000, end=word.end + 48_000) for word in script]
    talker = Talker(*at_speech_speed(pcm, "eof"))
    recognizer = Deaf(ScriptedRecognizer([*script, *again]), start, end)
    recorder = await serve(talker, VirtualPool(recognizer, seconds=0.1))
    assert talker.words == WORDS[:3]
    (error,) = [message for _, message in talker.messages if "error" in message]
    assert error["error"] == "inference"
    assert "could not be transcribed" in error["message"]
    assert (talker.got[-1][1], talker.code, recorder.state) == (EXPORT_ID, 1000, state)
    assert recorder.pcm == pcm


async def test_that_speech_was_given_up_is_told_behind_the_final_of_what_was_heard(autojump_clock: MockClock) -> None:
    """Nothing final comes behind it, so that it can be heard again at the next start."""
    del autojump_clock
    pcm, script = spoken(WORDS[:6])
    talker = Talker(*at_speech_speed(pcm, "eof"))
    recorder = await serve(talker, VirtualPool(Deaf(ScriptedRecognizer(script), 2.4, 99.0), seconds=0.1))
    assert talker.words
    assert [sorted(message) for _, message in talker.messages[-2:]] == [["result", "text"], ["error", "message"]]
    assert recorder.state == "interrupted"


class Faulty:
    """Fails every time, or every other time."""

    def __init__(self, recognizer: ScriptedRecognizer, every: int) -> None:
        self._recognizer = recognizer
        self._every = every
        self._calls = 0

    def recognize(self, window: Window, *, threads: int, should_abort: Any) -> Hypothesis:
        self._calls += 1
        if self._calls % self._every == 0:
            raise ModelError("the model has failed")
        return self._recognizer.recognize(window, threads=threads, should_abort=should_abort)

    def close(self) -> None:
        pass


async def test_inferences_that_fail_now_and_then_lose_no_word(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS)
    talker = Talker(*at_speech_speed(pcm, "eof"))
    await serve(talker, VirtualPool(Faulty(ScriptedRecognizer(script), every=2), seconds=0.1))
    assert talker.words == WORDS


async def test_a_model_that_always_fails_does_not_hold_the_stream_for_ever(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS)
    talker = Talker(*at_speech_speed(pcm, "eof"))
    recorder = await serve(talker, VirtualPool(Faulty(ScriptedRecognizer(script), every=1), seconds=0.1))
    assert talker.words == []
    assert talker.got[-1][1] == EXPORT_ID
    assert recorder.pcm == pcm

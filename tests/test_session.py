"""A session from its first frame to its export, to the exact time: a scripted recognizer under a clock that is stepped.

Inference takes virtual time instead of a thread, and the store keeps all in memory; everything between is the real
thing. What needs the real socket, disk and whisper.cpp is in `test_live_path.py` and `test_bad_input.py`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import trio

from engine.errors import ModelError
from engine.policy import Policy
from engine.scripted import ScriptedRecognizer
from engine.types import SAMPLE_RATE, Hypothesis, Window, Word
from server.errors import StoreError
from server.inference.pool import InferencePool
from server.streams.dialects import Native
from server.streams.services import Services, StreamLimits
from server.streams.session import Session
from server.transport.wire import DisconnectedError

if TYPE_CHECKING:
    from trio.testing import MockClock

    from engine.recognizer import Recognizer
    from server.exports.store import Store
    from server.protocol import WireFinal

EXPORT_ID = "0" * 32
FRAME = SAMPLE_RATE // 10 * 2
WORDS = [f"word-{number}" for number in range(10)]
MANY = [f"word-{number}" for number in range(60)]
STALL = 2.0
SEND_TIMEOUT = 10.0
LIMITS = StreamLimits(STALL, SEND_TIMEOUT)


class Loudness:
    def is_speech(self, frame: np.ndarray) -> bool:
        return bool(np.abs(frame).max() > 0.01)


def spoken(words: list[str], *, silence: float = 0.0) -> tuple[bytes, list[Word]]:
    """Each word is a tone of 0.4 s behind a gap of 0.1 s."""
    gap, tone = np.zeros(SAMPLE_RATE // 10), 0.3 * np.sin(np.arange(SAMPLE_RATE * 4 // 10) * 0.1)
    pcm = np.concatenate([*(np.concatenate([gap, tone]) for _ in words), np.zeros(int(silence * SAMPLE_RATE))])
    script = [
        Word(f" {word}", i * SAMPLE_RATE // 2 + SAMPLE_RATE // 10, (i + 1) * SAMPLE_RATE // 2, 0.9)
        for i, word in enumerate(words)
    ]
    return (pcm * 32_767).astype("<i2").tobytes(), script


class VirtualPool(InferencePool):
    """Inference takes `seconds` of virtual time and no thread."""

    def __init__(self, recognizer: Recognizer, seconds: float, slots: int = 1) -> None:
        super().__init__([recognizer] * slots, cores=1)
        self._seconds = seconds
        self.aborted = 0

    async def infer(self, recognizer: Recognizer, window: Window, threads: int) -> Hypothesis:
        try:
            await trio.sleep(self._seconds)
        except trio.Cancelled:
            self.aborted += 1
            raise
        return recognizer.recognize(window, threads=threads, should_abort=lambda: False)


@dataclass
class MemoryRecorder:
    """A recording in memory. It fails from the `fails_at`th final on."""

    fails_at: float = math.inf
    pcm: bytes = b""
    finals: list[str] = field(default_factory=list)
    state: str = "live"

    async def audio(self, pcm: bytes) -> None:
        self.pcm += pcm

    async def final(self, final: WireFinal) -> None:
        if len(self.finals) + 1 >= self.fails_at:
            raise StoreError("the disk is full")
        self.finals.append(final.text)

    async def flush(self) -> None:
        pass

    async def complete(self, *, language: str | None, state: str = "complete") -> None:
        del language
        self.state = state
        if self.fails_at < math.inf:
            raise StoreError("the disk is full")


@dataclass
class MemoryStore:
    recorder: MemoryRecorder

    async def record(self, export_id: str, **_: Any) -> MemoryRecorder:
        assert export_id == EXPORT_ID
        return self.recorder


class Talker:
    """A client: sends frames at their times, and notes when each answer came."""

    def __init__(self, *frames: tuple[float, bytes | str], reads: bool = True, closes: bool = False) -> None:
        self._frames = list(frames)
        self._reads = reads
        self._closes = closes
        self._start = trio.current_time()
        self.got: list[tuple[float, str]] = []
        self.code: int | None = None
        self.aborted = False

    async def receive(self) -> bytes | str:
        if not self._frames:
            if self._closes:
                raise DisconnectedError(clean=True)
            await trio.sleep_forever()
        await trio.sleep_until(self._start + self._frames[0][0])
        return self._frames.pop(0)[1]

    async def send(self, text: str) -> None:
        if not self._reads:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        self.got.append((round(trio.current_time() - self._start, 3), text))

    async def ping(self) -> None:
        await trio.lowlevel.checkpoint()

    async def close(self, code: int, reason: str) -> None:
        del reason
        await trio.lowlevel.checkpoint()
        self.code = code

    def abort(self) -> None:
        self.aborted = True

    @property
    def messages(self) -> list[tuple[float, dict[str, Any]]]:
        return [(at, json.loads(text)) for at, text in self.got if text.startswith("{")]

    @property
    def finals(self) -> list[tuple[float, str]]:
        return [(at, message["text"].strip()) for at, message in self.messages if "text" in message]

    @property
    def words(self) -> list[str]:
        return " ".join(text for _, text in self.finals).split()

    @property
    def partials(self) -> list[tuple[float, str]]:
        return [(at, message["partial"].strip()) for at, message in self.messages if "partial" in message]


def at_speech_speed(pcm: bytes, *end: str, pause: float = 0.0) -> list[tuple[float, bytes | str]]:
    """Frames of 100 ms, each sent when its last sample has been said; `pause` before `end`."""
    frames: list[tuple[float, bytes | str]] = [
        ((i + FRAME) / (2 * SAMPLE_RATE), pcm[i : i + FRAME]) for i in range(0, len(pcm), FRAME)
    ]
    last = frames[-1][0] if frames else 0.0
    return [*frames, *((last + pause, text) for text in end)]


async def serve(
    talker: Talker,
    pool: InferencePool,
    *,
    recorder: MemoryRecorder | None = None,
    draining: trio.Event | None = None,
    limits: StreamLimits = LIMITS,
) -> MemoryRecorder:
    recorder = recorder or MemoryRecorder()
    services = Services(
        store=cast("Store", MemoryStore(recorder)),
        pool=pool,
        detector=Loudness,
        policy=Policy(language="en"),
        languages=frozenset({"en"}),
        model="scripted",
        limits=limits,
    )
    with trio.fail_after(3600):
        await Session(talker, EXPORT_ID, services, Native, trio.Event() if draining is None else draining).run()
    return recorder


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

"""A session under a clock that is stepped.

Inference takes virtual time instead of a thread, and the store keeps all in memory; everything between is the real
thing.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import trio

from engine.policy import Policy
from engine.types import SAMPLE_RATE, Hypothesis, Window, Word
from server.errors import StoreError
from server.inference.pool import InferencePool
from server.streams.dialects import Native
from server.streams.services import Services, StreamLimits
from server.streams.session import Session
from server.transport.wire import DisconnectedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.recognizer import Recognizer
    from engine.vad import SpeechDetector
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
    state: str = "none"
    closed: bool = False

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
        self.closed = True

    def close(self) -> None:
        self.closed = True


@dataclass
class MemoryStore:
    recorder: MemoryRecorder

    async def record(self, export_id: str, **_: Any) -> MemoryRecorder:
        assert export_id == EXPORT_ID
        self.recorder.state = "live"
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


async def serve(  # noqa: PLR0913
    talker: Talker,
    pool: InferencePool,
    *,
    recorder: MemoryRecorder | None = None,
    draining: trio.Event | None = None,
    limits: StreamLimits = LIMITS,
    detector: Callable[[], SpeechDetector] = Loudness,
    patience: float = 3600.0,
) -> MemoryRecorder:
    recorder = recorder or MemoryRecorder()
    services = Services(
        store=cast("Store", MemoryStore(recorder)),
        pool=pool,
        detector=detector,
        policy=Policy(language="en"),
        languages=frozenset({"en"}),
        model="scripted",
        limits=limits,
    )
    with trio.fail_after(patience):
        await Session(talker, EXPORT_ID, services, Native, trio.Event() if draining is None else draining).run()
    return recorder

"""Audio on its way to the server: a source cut in frames, each held back until its time if asked to."""

from __future__ import annotations

from typing import Final, Protocol

import trio

from engine.types import SAMPLE_RATE

BYTES_PER_SAMPLE: Final = 2
FRAME_SAMPLES: Final = SAMPLE_RATE // 10
"""100 ms, the shortest frame the protocol recommends: a longer one would only add to the delay."""


class Source(Protocol):
    """Audio to be read once."""

    @property
    def duration_s(self) -> float | None:
        """Length in seconds; None where the end is not known in advance."""

    @property
    def live(self) -> bool:
        """Whether it comes at the speed of speech by itself, so that nobody need pace it."""

    async def read(self) -> bytes:
        """Wait for the next audio, 16 kHz mono PCM16, some whole samples; empty at the end.

        Raises `SourceError` if there should be more and it cannot be read.
        """


class Frames:
    """A source in frames of 100 ms (the last may be shorter), for one pass of `async for`.

    A paced frame is given out when its last sample is due, as from a microphone, counted from the first read.
    Deadlines are absolute, so that one late frame delays none of those that follow. `started_at` is that zero
    on the clock of `trio.current_time`; `samples` counts what has been given out.
    """

    def __init__(self, source: Source, *, paced: bool) -> None:
        self._source = source
        self._paced = paced and not source.live
        self._rest = bytearray()
        self._wait = trio.CancelScope()
        self.samples = 0
        self.started_at: float | None = None
        self.stopped = False

    def stop(self) -> None:
        """End the audio here, even while a frame is being waited for. May be called from any task."""
        self.stopped = True
        self._wait.cancel()

    def __aiter__(self) -> Frames:
        return self

    async def __anext__(self) -> bytes:
        if not self.stopped:
            with trio.CancelScope() as self._wait:
                return await self._next()
        raise StopAsyncIteration

    async def _next(self) -> bytes:
        if self.started_at is None:
            self.started_at = trio.current_time()
        size = FRAME_SAMPLES * BYTES_PER_SAMPLE
        while len(self._rest) < size and (pcm := await self._source.read()):
            self._rest += pcm
        if not self._rest:
            raise StopAsyncIteration
        frame = bytes(self._rest[:size])
        del self._rest[:size]
        self.samples += len(frame) // BYTES_PER_SAMPLE
        if self._paced:
            await trio.sleep_until(self.started_at + self.samples / SAMPLE_RATE)
        return frame

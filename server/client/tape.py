"""Audio on its way to the server, kept until it must have arrived: what is in a connection is lost when it breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from engine.types import SAMPLE_RATE
from server.client.frames import BYTES_PER_SAMPLE, FRAME_SAMPLES
from server.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FRAME_BYTES: Final = FRAME_SAMPLES * BYTES_PER_SAMPLE
KEPT_BYTES: Final = 300 * SAMPLE_RATE * BYTES_PER_SAMPLE
"""Audio kept after it was sent (10 MB): far more than lies in the buffers of two kernels."""

LIVE_AHEAD_BYTES: Final = 1800 * SAMPLE_RATE * BYTES_PER_SAMPLE
"""Live audio recorded while it cannot be sent (58 MB): half an hour in line, and more than a server holds a stream."""


class Tape:
    """Frames of a source in the order of their coming, for one task that sends them, several times if need be.

    `record` fills it. Live audio is recorded whether it can be sent or not; of anything else, no more is read than is
    sent.
    """

    def __init__(self, frames: AsyncIterator[bytes], *, live: bool) -> None:
        self._frames = frames
        self._ahead = LIVE_AHEAD_BYTES if live else 0
        self._kept = bytearray()
        self._first = 0  # places are bytes from the beginning of the audio
        self._at = 0
        self._ended = False
        self._changed = trio.Event()

    @property
    def sent(self) -> float:
        """Seconds of the audio that have been given out."""
        return self._at / BYTES_PER_SAMPLE / SAMPLE_RATE

    async def record(self) -> None:
        """Take in all frames. Raises what their source raises."""
        async for frame in self._frames:
            self._kept += frame
            surplus = min(len(self._kept) - KEPT_BYTES, self._at - self._first)
            if surplus > 0:
                del self._kept[:surplus]
                self._first += surplus
            self._notify()
            while self._end - self._at > self._ahead:
                await self._changed.wait()
        self._ended = True
        self._notify()

    def rewind(self, place: int) -> None:
        """Go on from that byte of the audio. Raises `ClientError` if it is not there any more, or not yet."""
        if not self._first <= place <= self._end:
            raise ClientError("The server wants audio that is not there any more; what it has heard is stored.")
        self._at = place

    def __aiter__(self) -> Tape:
        return self

    async def __anext__(self) -> bytes:
        """Wait for the next frame. Cancelling loses none."""
        while self._at == self._end:
            if self._ended:
                raise StopAsyncIteration
            await self._changed.wait()
        begin = self._at - self._first
        frame = bytes(self._kept[begin : begin + FRAME_BYTES])
        self._at += len(frame)
        self._notify()
        return frame

    @property
    def _end(self) -> int:
        return self._first + len(self._kept)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

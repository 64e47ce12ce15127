"""Reads a connection in larger pieces the busier the host is.

A frame of 100 ms costs a wake-up of the event loop, of the WebSocket's reader and of the session: more than all that is
done with the audio in it. Where a stream is decoded every second and a half anyway, it need not be looked at ten times
a second. What comes meanwhile waits in the socket, and is read at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

CROWDED_BYTES: Final = 32_768
"""A read as large as this is of a client that sends faster than anybody speaks; it is read on without a break."""


class Break:
    """Ends for all at once: what wakes the event loop is one deadline, not one for each connection.

    It lasts `seconds()` from when the first begins it; who comes later has less of it.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._resting = trio.lowlevel.ParkingLot()
        self._begun = False

    async def over(self) -> None:
        """Wait for its end; not at all where there is none."""
        if self._begun:
            await self._resting.park()
        elif (seconds := self._seconds()) > 0:
            self._begun = True
            try:
                await trio.sleep(seconds)
            finally:  # should this connection end before, the others read a little early
                self._begun = False
                self._resting.unpark_all()


class PacedStream(trio.abc.HalfCloseableStream):
    """A TCP connection that is not read before the next break is over, once it has been read."""

    def __init__(self, stream: trio.SocketStream, rest: Break) -> None:
        self.socket = stream.socket
        self._stream = stream
        self._break = rest
        self._read = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See `trio.abc.ReceiveStream`."""
        if self._read:
            await self._break.over()
        data = await self._stream.receive_some(max_bytes)
        self._read = len(data) < CROWDED_BYTES
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """See `trio.abc.HalfCloseableStream`."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        await self._stream.aclose()


class PacedListener(trio.abc.Listener[PacedStream]):
    """Gives out connections that are read at that pace."""

    def __init__(self, listener: trio.SocketListener, rest: Break) -> None:
        self._listener = listener
        self._break = rest

    async def accept(self) -> PacedStream:
        """Wait for a connection."""
        return PacedStream(await self._listener.accept(), self._break)

    async def aclose(self) -> None:
        """Stop listening."""
        await self._listener.aclose()

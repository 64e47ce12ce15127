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
"""A read as large as this is of a client that sends faster than anybody speaks; it is read on without a rest."""


class PacedStream(trio.abc.HalfCloseableStream):
    """A TCP connection that is not read for a while after each read: `rest()` seconds."""

    def __init__(self, stream: trio.SocketStream, rest: Callable[[], float]) -> None:
        self.socket = stream.socket
        self._stream = stream
        self._rest = rest
        self._rested = 0.0

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See `trio.abc.ReceiveStream`."""
        if self._rested > trio.current_time():
            await trio.sleep_until(self._rested)
        data = await self._stream.receive_some(max_bytes)
        self._rested = 0.0 if len(data) >= CROWDED_BYTES else trio.current_time() + self._rest()
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

    def __init__(self, listener: trio.SocketListener, rest: Callable[[], float]) -> None:
        self._listener = listener
        self._rest = rest

    async def accept(self) -> PacedStream:
        """Wait for a connection."""
        return PacedStream(await self._listener.accept(), self._rest)

    async def aclose(self) -> None:
        """Stop listening."""
        await self._listener.aclose()

"""A wire some of whose messages have been read before whom they are for was there."""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from server.transport.wire import Wire


class Unread:
    """A wire that gives out first what has been read from it already: `messages`, and what `read_ahead` reads."""

    def __init__(self, wire: Wire, *messages: bytes | str) -> None:
        self._wire = wire
        self._messages = deque(messages)

    async def read_ahead(self, most: int) -> None:
        """Read on until messages that take `most` bytes of memory wait, the last in full.

        Cancelling loses none. Raises `DisconnectedError`.
        """
        size = sum(map(sys.getsizeof, self._messages))  # a crowd of empty ones is not free either
        while size < most:
            message = await self._wire.receive()
            self._messages.append(message)
            size += sys.getsizeof(message)

    async def receive(self) -> bytes | str:
        """See `server.transport.wire.Wire`."""
        if not self._messages:
            return await self._wire.receive()
        await trio.lowlevel.checkpoint()
        return self._messages.popleft()

    async def send(self, text: str) -> None:
        """See `server.transport.wire.Wire`."""
        await self._wire.send(text)

    async def close(self, code: int, reason: str) -> None:
        """See `server.transport.wire.Wire`."""
        await self._wire.close(code, reason)

    async def ping(self) -> None:
        """See `server.transport.wire.Wire`."""
        await self._wire.ping()

    def abort(self) -> None:
        """See `server.transport.wire.Wire`."""
        self._wire.abort()

"""A network between a client and a server that breaks when a test wants it to."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Relay:
    """Hands bytes on between its own port and another one. A connection breaks after some bytes of its client.

    `limits`: for each connection in turn, after how many; those that come later hold.
    """

    def __init__(self, port: int, *limits: int) -> None:
        self.port = 0
        self.connections = 0
        self._to = port
        self._limits = limits

    async def carry(self, client: trio.SocketStream) -> None:
        """Serve one connection."""
        number, self.connections = self.connections, self.connections + 1
        limit = self._limits[number] if number < len(self._limits) else None
        async with client, await trio.open_tcp_stream("127.0.0.1", self._to) as server, trio.open_nursery() as nursery:
            nursery.start_soon(self._hand_on, server, client, None, nursery.cancel_scope)
            await self._hand_on(client, server, limit, nursery.cancel_scope)

    @staticmethod
    async def _hand_on(
        source: trio.SocketStream, sink: trio.SocketStream, limit: int | None, both: trio.CancelScope
    ) -> None:
        seen = 0
        try:
            while (data := await source.receive_some()) and (limit is None or seen < limit):
                seen += len(data)
                await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        both.cancel()


@asynccontextmanager
async def relayed(port: int, *limits: int) -> AsyncIterator[Relay]:
    """Relay to a port of this machine."""
    relay = Relay(port, *limits)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, relay.carry, 0, host="127.0.0.1"))
        relay.port = listeners[0].socket.getsockname()[1]
        yield relay
        nursery.cancel_scope.cancel()

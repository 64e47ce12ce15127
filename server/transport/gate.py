"""What keeps connections from one another: failures of one, and crowds of those that do not say what they want."""

from __future__ import annotations

import logging
import socket
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio
import trio_websocket
from wsproto.utilities import LocalProtocolError

from server.transport.pacing import PacedStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.transport.lobby import Guest, Lobby

LOOK_SECONDS: Final = 1.0
"""How often it is looked whether a client that has said nothing yet is still there."""

_logger = logging.getLogger(__name__)
_guest: ContextVar[Guest] = ContextVar("guest")
_address: ContextVar[str] = ContextVar("address")


class Guard:
    """Stands in for a nursery: starts tasks whose exceptions are logged and counted instead of ending the server.

    trio-websocket lets errors of one connection (garbage, a reset in the handshake, a bug in the handler) escape
    into the nursery that serves all of them; and it answers a ping that comes while it is closing, which wsproto then
    forbids.
    """

    def __init__(self, nursery: trio.Nursery, on_failure: Callable[[], None] = lambda: None) -> None:
        self._nursery = nursery
        self._on_failure = on_failure

    def start_soon(self, async_fn: Callable[..., Awaitable[Any]], *args: object, name: object = None) -> None:
        """See `trio.Nursery.start_soon`."""
        self._nursery.start_soon(partial(self._run, async_fn, *args), name=name)

    async def _run(self, async_fn: Callable[..., Awaitable[Any]], *args: object) -> None:
        try:
            await async_fn(*args)
        except* (trio_websocket.ConnectionClosed, trio.BrokenResourceError, LocalProtocolError, OSError) as broken:
            _logger.info("A connection broke off: %s", broken.exceptions[0])
        except* Exception:
            _logger.exception("A connection failed; the others go on.")
            self._on_failure()


class Gate(Guard):
    """A guard for new connections: each waits in the lobby until it has said what it wants, or has gone.

    trio-websocket holds a socket whose client has closed it until the time for the handshake is over.
    """

    def __init__(self, nursery: trio.Nursery, lobby: Lobby, on_failure: Callable[[], None]) -> None:
        super().__init__(nursery, on_failure)
        self._lobby = lobby

    async def _run(self, async_fn: Callable[..., Awaitable[Any]], *args: object) -> None:
        with self._lobby.guest() as guest:
            _guest.set(guest)  # of this task; the library hands nothing through to the handler
            async with trio.open_nursery() as nursery:
                for stream in args:
                    if isinstance(stream, PacedStream | trio.SSLStream):
                        tcp = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
                        _address.set(_peer(tcp.socket))
                        nursery.start_soon(_show_out, tcp, guest)
                await super()._run(async_fn, *args)
                nursery.cancel_scope.cancel()


def guest_of_this_task() -> Guest:
    """The guest that a connection's handler serves."""
    return _guest.get()


def address_of_this_task() -> str:
    """The IP address of a connection's client, or of the proxy before it; empty if it was gone before it was looked."""
    return _address.get()


def _peer(tcp: trio.socket.SocketType) -> str:
    try:
        return str(tcp.getpeername()[0])
    except OSError:
        return ""


async def _show_out(stream: PacedStream, guest: Guest) -> None:
    """End the connection of a guest that goes before it has said what it wants."""
    while guest.waiting:
        await trio.sleep(LOOK_SECONDS)
        if guest.waiting and _closed_by_peer(stream.socket.fileno()):
            guest.scope.cancel()
            return


def _closed_by_peer(descriptor: int) -> bool:
    """Whether all has been read that will ever come. Takes nothing of it."""
    if descriptor < 0:
        return True
    borrowed = socket.socket(fileno=descriptor)
    try:
        return not borrowed.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        borrowed.detach()

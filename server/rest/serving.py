"""Serves the REST interface with Hypercorn's HTTP on a listening socket of our own.

Hypercorn's `serve` keeps all connections in one nursery, and what one client sends can make its task fail (an
upgrade request with data right behind it does: their issue 225), which would end them all. So its connection
handler, `TCPServer`, is run here for each connection by itself: whatever fails in it is logged and ends that
connection only; downloads of others go on, and the port is never closed. `TCPServer` is not public: Hypercorn is
pinned to an exact version, and `tests/rest` covers what is relied on.
"""

from __future__ import annotations

import logging
import socket
from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Updated
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

from server.access.tls import ALPN_WEB, TlsListener
from server.transport.lobby import Lobby

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hypercorn.events import Event
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
    from quart_trio import QuartTrio

    from server.access.tls import Certificate
    from server.transport.lobby import Guest

Connection = trio.SocketStream | trio.SSLStream[trio.SocketStream]

USER_TIMEOUT_MS: Final = 60_000
"""A client that takes nothing for this long is given up; without it, one that never reads is held for ever."""

MAX_CONNECTIONS: Final = 256
"""More are closed at once: the files a process may have open (1024 as a rule) are needed for streams too."""

MAX_WAITING: Final = 128
"""Of these, those without a request, new or kept alive: the one that has been silent longest makes way for more."""

KEEP_ALIVE_SECONDS: Final = 15
"""For a request to come in full, and between requests."""

GRACE_SECONDS: Final = 5.0

_logger = logging.getLogger(__name__)


async def serve_rest(  # noqa: PLR0913  the composition root calls it once, by name
    app: QuartTrio,
    listeners: Sequence[socket.socket],
    *,
    shutdown: trio.Event,
    keep_alive: float = KEEP_ALIVE_SECONDS,
    grace: float = GRACE_SECONDS,
    on_crash: Callable[[], None] = lambda: None,
    on_crowded: Callable[[], None] = lambda: None,
    certificate: Certificate | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `shutdown` is set, then let answers that are under way take `grace` more seconds.

    With a certificate it is HTTPS. `keep_alive`: seconds for a request to come in full, and between requests.
    `listeners` are left open, afterwards too. `on_crash` is called whenever a connection failed,
    `on_crowded` when one without a request had to make way for another.
    """
    context = WorkerContext(None)
    config = _config(keep_alive)
    live = trio.CapacityLimiter(MAX_CONNECTIONS)
    lobby = Lobby(MAX_WAITING, on_crowded)

    async def converse(stream: Connection) -> None:
        try:
            live.acquire_on_behalf_of_nowait(stream)
        except trio.WouldBlock:
            await trio.aclose_forcefully(stream)
            return
        try:
            with lobby.guest() as guest:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_cut_off, stream)
                    await _Conversation(app, config, context, stream, guest)
                    nursery.cancel_scope.cancel()
        except* Exception:
            _logger.exception("A REST connection failed; the others go on.")
            on_crash()
        finally:
            live.release_on_behalf_of(stream)

    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            own = [_duplicate(each) for each in listeners]
            secured: list[trio.abc.Listener[Connection]] = (
                [TlsListener(each, certificate, ALPN_WEB) for each in own] if certificate is not None else [*own]
            )
            await accepting.start(partial(trio.serve_listeners, converse, secured, handler_nursery=connections))
            task_status.started()
            await shutdown.wait()
            accepting.cancel_scope.cancel()
        await context.terminated.set()  # connections that wait for a request end themselves on this
        connections.cancel_scope.deadline = trio.current_time() + grace


def _duplicate(listener: socket.socket) -> trio.SocketListener:
    """Make a listener that may be closed, as trio does when it has served. Accepted connections inherit its options."""
    own = listener.dup()
    own.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return trio.SocketListener(trio.socket.from_stdlib_socket(own))


class _Conversation(TCPServer):
    """A connection that waits in the lobby while it has no request, and that ends when its client has gone.

    Hypercorn keeps a socket whose client has closed it until the time to keep it alive is over: a few requests a
    second, each over a connection of its own, would fill all that there may be.
    """

    def __init__(
        self, app: QuartTrio, config: Config, context: WorkerContext, stream: Connection, guest: Guest
    ) -> None:
        super().__init__(_Whole(app), config, context, {}, stream)  # type: ignore[arg-type]
        self._guest = guest
        self._left = False

    async def protocol_send(self, event: Event) -> None:
        if not isinstance(event, Updated):
            await super().protocol_send(event)
        elif not self._left:
            (self._guest.wait if event.idle else self._guest.go_on)()
            await super().protocol_send(event)

    async def _read_data(self) -> None:
        await super()._read_data()
        self._left = True
        await self.idle_task.stop()


class _Whole(ASGIWrapper):
    """An application whose sending is seen through.

    quart-trio cancels a request's tasks as soon as Hypercorn tells it that the request is over. That happens inside
    of the last sending, before Hypercorn has put the connection back to waiting: it would then wait for ever.
    """

    async def __call__(
        self,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        _sync_spawn: object,
        _call_soon: object,
    ) -> None:
        async def send_whole(event: ASGISendEvent) -> None:
            with trio.CancelScope(shield=True):
                await send(event)

        await self.app(scope, receive, send_whole)


async def _cut_off(stream: Connection) -> None:
    """Close the connection when it is cancelled.

    Hypercorn shields its sending from cancellation: a client that does not read would hold up the shutdown.
    """
    try:
        await trio.sleep_forever()
    finally:
        tcp = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
        tcp.socket.close()


def _config(keep_alive: float) -> Config:
    config = Config()
    config.errorlog = _logger
    config.accesslog = None
    config.include_server_header = False
    config.keep_alive_timeout = keep_alive
    config.ssl_handshake_timeout = keep_alive
    config.websocket_max_message_size = 1024  # there are no WebSockets here
    return config

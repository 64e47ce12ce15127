"""trio-websocket behind the `Wire` protocol."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import trio
import trio_websocket

from server.access.tls import ALPN_WEBSOCKET, TlsListener
from server.protocol import ID_HEADER, REST_PORT_HEADER
from server.transport.gate import Gate, address_of_this_task, guest_of_this_task
from server.transport.pacing import Break, PacedListener
from server.transport.wire import DisconnectedError

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from server.access.tls import Certificate
    from server.transport.lobby import Guest, Lobby

SUBPROTOCOLS: Final = ("audio.drachtio.org",)
"""Subprotocols that clients insist on hearing back (mod_audio_fork); none changes what is said."""

MESSAGE_QUEUE: Final = 2
"""Messages that may wait inside the library. While it is full the library does not read, so TCP slows the client."""

CLOSE_SECONDS: Final = 5.0
"""A healthy client answers a close within a round trip; this bounds the others."""

UNAUTHORIZED: Final = 401

BROKEN_OFF: Final = 1006
"""The code for a connection that ended without a close frame (RFC 6455, 7.1.5)."""

_logger = logging.getLogger(__name__)


class WebSocketWire:
    """One WebSocket connection as a session sees it."""

    def __init__(self, connection: trio_websocket.WebSocketConnection, cut: Callable[[], None]) -> None:
        """`cut()` ends the task that holds the connection, which closes it without a goodbye."""
        self._connection = connection
        self._cut = cut
        self._aborted = False

    async def receive(self) -> bytes | str:
        """See `server.transport.wire.Wire`."""
        try:
            message: bytes | str = await self._connection.get_message()
        except trio_websocket.ConnectionClosed as closed:
            raise _disconnected(closed) from closed
        return message

    async def send(self, text: str) -> None:
        """See `server.transport.wire.Wire`."""
        try:
            await self._connection.send_message(text)
        except trio_websocket.ConnectionClosed as closed:
            raise _disconnected(closed) from closed

    async def ping(self) -> None:
        """See `server.transport.wire.Wire`."""
        try:
            await self._connection.ping()
        except trio_websocket.ConnectionClosed as closed:
            raise _disconnected(closed) from closed

    async def close(self, code: int, reason: str) -> None:
        """See `server.transport.wire.Wire`."""
        if not self._aborted:
            with trio.move_on_after(CLOSE_SECONDS):
                await self._connection.aclose(code, reason)

    def abort(self) -> None:
        """See `server.transport.wire.Wire`."""
        self._aborted = True
        self._cut()


@dataclass(frozen=True, slots=True)
class Request:
    """A handshake that asks for a stream. `address`: of the client, or of the proxy before it."""

    _request: trio_websocket.WebSocketRequest
    _guest: Guest
    _rest_port: int
    address: str

    def recognised(self) -> None:
        """Its client has said all that is needed to know what becomes of it: no other takes its place any more."""
        self._guest.go_on()

    @property
    def path(self) -> str:
        """The path without its query."""
        return self._request.path.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows the path's question mark. It may hold a key: it is not for the log."""
        return self._request.path.partition("?")[2]

    def header(self, name: str) -> str | None:
        """The value of a header, the first if there are several; None if there is none."""
        if name == "host":  # the library keeps it apart
            return self._request._event.host or None  # noqa: SLF001 - it is offered nowhere else
        wanted = name.encode()
        return next((value.decode("latin-1") for key, value in self._request.headers if key.lower() == wanted), None)

    async def accept(self, export_id: str) -> WebSocketWire:
        """Complete the handshake; headers tell the client its export's ID and port. Raises `DisconnectedError`."""
        proposed = self._request.proposed_subprotocols
        subprotocol = next((known for known in SUBPROTOCOLS if known in proposed), None)
        headers = [(ID_HEADER, export_id.encode()), (REST_PORT_HEADER, str(self._rest_port).encode())]
        try:
            connection = await self._request.accept(subprotocol=subprotocol, extra_headers=headers)
        except trio_websocket.ConnectionClosed as closed:
            raise _disconnected(closed) from closed
        return WebSocketWire(connection, self._guest.scope.cancel)

    async def reject(self, status: int, code: str, sentence: str, *, retry_after: int | None = None) -> None:
        """Answer with an HTTP error and a JSON body; `retry_after` is in seconds."""
        body: dict[str, object] = {"error": code, "message": sentence}
        headers = [(b"Content-Type", b"application/json")]
        if status == UNAUTHORIZED:
            headers.append((b"WWW-Authenticate", b"Bearer"))
        if retry_after is not None:
            body["retry_after"] = retry_after
            headers.append((b"Retry-After", str(retry_after).encode()))
        await self._request.reject(status, extra_headers=headers, body=json.dumps(body).encode())


async def serve_websockets(  # noqa: PLR0913  the composition root calls it once, by name
    handle: Callable[[Request], Awaitable[None]],
    sockets: Sequence[socket.socket],
    *,
    certificate: Certificate | None = None,
    rest_port: int,
    paths: Collection[str],
    max_message: int,
    handshake: float,
    rest: Callable[[], float],
    lobby: Lobby,
    on_failure: Callable[[], None] = lambda: None,
) -> None:
    """Serve until cancelled, which ends all connections; with a certificate, over TLS.

    `max_message` in bytes; a larger one closes with 1009. `handshake`: seconds that a client has for it.
    `rest()`: seconds for which connections are not read after a read. In the `lobby` are those who have to be
    recognised yet (`Request.recognised`). `rest_port` is where the exports are.
    """

    async def guarded(request: trio_websocket.WebSocketRequest) -> None:
        wrapped = Request(request, guest_of_this_task(), rest_port, address_of_this_task())
        if wrapped.path in paths:
            await handle(wrapped)
        else:
            await wrapped.reject(
                404, "not_found", f"Nothing is at {wrapped.path[:200]}; connect to {' or '.join(paths)}."
            )

    shared = Break(rest)
    listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(each)) for each in sockets]
    paced = [PacedListener(each, shared) for each in listeners]
    secured = [TlsListener(each, certificate, ALPN_WEBSOCKET) for each in paced] if certificate else paced
    async with trio.open_nursery() as nursery:
        server = trio_websocket.WebSocketServer(
            guarded,
            # Of these too it only uses that they give out streams.
            cast("list[trio.SocketListener]", secured),
            handler_nursery=cast("trio.Nursery", Gate(nursery, lobby, on_failure)),  # it uses start_soon alone
            message_queue_size=MESSAGE_QUEUE,
            max_message_size=max_message,
            receive_buffer_size=None,  # the library's 4 KiB costs a wake-up for every 128 ms of audio
            connect_timeout=handshake,
            disconnect_timeout=CLOSE_SECONDS,
        )
        await server.run()


def _disconnected(closed: trio_websocket.ConnectionClosed) -> DisconnectedError:
    return DisconnectedError(clean=closed.reason is not None and closed.reason.code != BROKEN_OFF)

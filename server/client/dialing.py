"""From a URL to an open WebSocket, or to one sentence that says why there is none."""

from __future__ import annotations

import errno
import os
import ssl
from typing import Final
from urllib.parse import urlsplit

import msgspec
import trio
import trio_websocket

from server.errors import ClientError, StreamRefusedError
from server.protocol import WireError

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}
ABNORMAL_CLOSURE: Final = 1006
CONNECT_TIMEOUT_S: Final = 10.0

MAX_MESSAGE_BYTES: Final = 16 * 2**20
"""A final lists the words of half a minute at most, a few KiB; the bound stops what is no such server."""

MESSAGE_QUEUE: Final = 64
"""Messages kept while the receiving task is busy, so that a slow terminal does not hold up pongs."""


async def dial(url: str) -> Stream:
    """Open a TCP or TLS connection to where a `ws:` or `wss:` URL points. Raises `ClientError`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")  # as it will be to be looked up
    except ValueError:
        host = None
    if not host or parts.scheme not in DEFAULT_PORTS:
        raise ClientError(f"{url} is not a WebSocket address such as ws://127.0.0.1:8394/.")
    port = DEFAULT_PORTS[parts.scheme] if port is None else port
    try:
        with trio.fail_after(CONNECT_TIMEOUT_S):
            if parts.scheme == "wss":
                stream = await trio.open_ssl_over_tcp_stream(host, port, https_compatible=True)
                await _secure(stream, url)
                return stream
            return await trio.open_tcp_stream(host, port)
    except trio.TooSlowError as error:
        raise _too_slow(url) from error
    except OSError as error:
        root = _root(error)
        # Trio's own text repeats the address; that of a failed look-up is its own, with an errno of its own.
        number = root.errno if isinstance(root, OSError) else None
        reason = os.strerror(number) if number and number in errno.errorcode else getattr(root, "strerror", root)
        raise ClientError(f"No server answers at {url} ({reason}). Is `trioscribe serve` running there?") from error


async def _secure(stream: trio.SSLStream[trio.SocketStream], url: str) -> None:
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise ClientError(
                f"The certificate of the server at {url} is not trusted: {cause.verify_message}. If it is your own, "
                "name the certificate of who issued it in the environment, SSL_CERT_FILE=FILE."
            ) from error
        raise ClientError(f"What answers at {url} does not speak TLS. Is it ws:// instead of wss://?") from error


async def shake_hands(nursery: trio.Nursery, stream: Stream, url: str) -> trio_websocket.WebSocketConnection:
    """Make a WebSocket of the connection; its reader, in the nursery, raises `ConnectionRejected` if refused.

    Raises `ClientError` if there is no answer in time, or it is not one of a WebSocket server.
    """
    parts = urlsplit(url)
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        with trio.fail_after(CONNECT_TIMEOUT_S):
            connection = await trio_websocket.wrap_client_stream(
                nursery,
                stream,
                parts.netloc.rpartition("@")[2],
                resource,
                message_queue_size=MESSAGE_QUEUE,
                max_message_size=MAX_MESSAGE_BYTES,
                receive_buffer_size=None,
            )
    except trio.TooSlowError as error:
        raise _too_slow(url) from error
    if connection.closed and connection.closed.code == ABNORMAL_CLOSURE:
        raise stranger(url)
    return connection


def refused(url: str, rejections: BaseExceptionGroup[trio_websocket.ConnectionRejected]) -> StreamRefusedError:
    """What to say of a refusal: the sentence in its JSON body, or else its status."""
    rejected = _root(rejections)
    assert isinstance(rejected, trio_websocket.ConnectionRejected)  # noqa: S101 - the group has nothing else
    try:
        sentence = msgspec.json.decode(rejected.body or b"", type=WireError).message
    except msgspec.DecodeError:
        sentence = f"HTTP status {rejected.status_code}."
    return StreamRefusedError(f"The server at {url} refuses the stream: {sentence}")


def stranger(url: str) -> ClientError:
    """What to say of a server that talks, but not WebSocket."""
    return ClientError(f"What answers at {url} does not speak WebSocket. Is that the port of `trioscribe serve`?")


def _too_slow(url: str) -> ClientError:
    return ClientError(f"Nothing at {url} answers as a WebSocket server within {CONNECT_TIMEOUT_S:g} s.")


def _root(error: BaseException) -> BaseException:
    """The error that began it; where several addresses were tried, that of the first."""
    while True:
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        elif error.__cause__ is not None:
            error = error.__cause__
        else:
            return error

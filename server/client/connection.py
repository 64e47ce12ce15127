"""A client session: audio goes out, captions come in, and the export's ID at the end.

    async with connect("ws://127.0.0.1:8394/") as transcription, trio.open_nursery() as nursery:
        nursery.start_soon(speak, transcription)  # sends frames, then eof
        async for received in transcription:
            print(received.raw)
    print(transcription.export_id)

Sending and receiving are for two tasks: a server that is not read stops reading too.

After a `BrokenOffError` the stream may be gone on with over another connection: `connect` with a `Resumption`, and send
the audio from the byte that the first message, a `WireResumed`, names.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
import trio
import trio_websocket
from wsproto.utilities import LocalProtocolError

from server.client.dialing import ABNORMAL_CLOSURE, dial, refused, shake_hands, stranger
from server.errors import BrokenOffError, ClientError
from server.protocol import (
    EXPORT_ID,
    ID_HEADER,
    REST_PORT_HEADER,
    StreamConfig,
    WireError,
    WireFinal,
    WirePartial,
    WireQueued,
    WireResumed,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from server.client.dialing import Stream

PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
HIGHEST_PORT: Final = 65_535
NORMAL_CLOSURE: Final = 1000

CLOSE_TIMEOUT_S: Final = 5.0


class ExportId(msgspec.Struct, frozen=True):
    """Where the stream is stored: 32 lower-case hexadecimal digits. The last message of a stream."""

    id: str


Wire = WirePartial | WireFinal | WireError | WireQueued | WireResumed
Message = Wire | ExportId
KINDS: Final[tuple[type[Wire], ...]] = (WirePartial, WireFinal, WireError, WireQueued, WireResumed)


@dataclass(frozen=True, slots=True)
class Resumption:
    """A wish to go on with the stream of that ID, of which the client has so many finals."""

    stream_id: str
    finals: int


@dataclass(frozen=True, slots=True)
class Received:
    """A text frame: as it came, what it means, and when it was received, on the clock of `trio.current_time`.

    `message` is None for a frame of a later protocol that this client does not know.
    """

    at: float
    raw: str
    message: Message | None


class Transcription:
    """One stream on an open connection; made by `connect`. Iterate it for what the server says."""

    def __init__(self, connection: trio_websocket.WebSocketConnection, stream: Stream) -> None:
        self._connection = connection
        self._stream = stream
        self._export_id: str | None = None

    @property
    def export_id(self) -> str | None:
        """The ID of the export, once the server has sent it."""
        return self._export_id

    @property
    def stream_id(self) -> str | None:
        """The ID that the export will have, as the handshake told it; None from a server that does not tell it."""
        return self._header(ID_HEADER)

    @property
    def rest_port(self) -> int | None:
        """The port of the server where the export will be, as the handshake told it; None if it did not."""
        told = self._header(REST_PORT_HEADER)
        port = int(told) if told is not None and PORT.fullmatch(told) else 0
        return port if 0 < port <= HIGHEST_PORT else None

    def _header(self, wanted: bytes) -> str | None:
        headers = self._connection.handshake_headers
        return next((value.decode("latin-1") for name, value in headers if name.lower() == wanted.lower()), None)

    async def send(self, frame: bytes | str) -> None:
        """Send audio (PCM16, little-endian, mono) or a control frame.

        Waits while the server is behind. Raises `ClientError` if the connection is closed.
        """
        try:
            await self._connection.send_message(frame)
        except trio_websocket.ConnectionClosed as closed:
            raise _ended_midway(closed) from closed

    async def eof(self) -> None:
        """Say that the audio is over: the last finals, the ID and the end of iteration follow."""
        await self.send("eof")

    async def ping(self) -> None:
        """Wait for an answer to a ping. Raises `ClientError` if the connection is closed."""
        try:
            await self._connection.ping()
        except trio_websocket.ConnectionClosed as closed:
            raise _ended_midway(closed) from closed

    async def drop(self) -> None:
        """Give the connection up without a goodbye, so that the server holds the stream."""
        await trio.aclose_forcefully(self._stream)

    def __aiter__(self) -> Transcription:
        return self

    async def __anext__(self) -> Received:
        """Wait for the next message; stops when the server has closed after the ID.

        Raises `ClientError` if the connection ends in any other way.
        """
        try:
            raw = await self._connection.get_message()
        except trio_websocket.ConnectionClosed as closed:
            if self._export_id is not None and closed.reason and closed.reason.code == NORMAL_CLOSURE:
                raise StopAsyncIteration from None
            raise _ended_midway(closed) from closed
        if isinstance(raw, bytes):
            raw = raw.decode(errors="replace")
        message = understand(raw)
        if isinstance(message, ExportId):
            self._export_id = message.id
        return Received(trio.current_time(), raw, message)


def understand(raw: str) -> Message | None:
    """Decode a text frame of the server, or give None for one that this client does not know."""
    if EXPORT_ID.fullmatch(raw):
        return ExportId(raw)
    for kind in KINDS:
        try:
            return msgspec.json.decode(raw, type=kind)
        except msgspec.DecodeError:
            continue
    return None


@asynccontextmanager
async def connect(
    url: str, *, config: StreamConfig | None = None, key: str | None = None, resumption: Resumption | None = None
) -> AsyncGenerator[Transcription, None]:
    """Open a stream at a `ws:` or `wss:` URL, with a configuration and a key if any; close it on leaving.

    With a `resumption` go on with a stream, which has its configuration already.

    Raises `ClientError` if there is no server, or it does not take the stream: the message has its reason.
    """
    failure: Exception | None = None
    connection: trio_websocket.WebSocketConnection | None = None
    if resumption is not None:
        url, config = _again(url, resumption), None
    # With a TCP stream of its own: trio-websocket's leaves the socket open when the server closes or refuses.
    async with await dial(url) as stream:
        try:
            async with trio.open_nursery() as nursery:
                try:
                    connection = await shake_hands(nursery, stream, url)
                    transcription = Transcription(connection, stream)
                    if opening := _opening(config, key):
                        await transcription.send(opening)
                    yield transcription
                except Exception as error:  # noqa: BLE001 - carried past the nursery, which would put it in a group
                    failure = error
                finally:
                    if connection is not None:
                        with trio.move_on_after(CLOSE_TIMEOUT_S):
                            await connection.aclose()
                nursery.cancel_scope.cancel()
        except* trio_websocket.ConnectionRejected as rejections:
            failure = refused(url, rejections)
        except* LocalProtocolError:
            pass  # its reader answers a ping that comes while it is closing, which is not allowed any more
        except* Exception as broken:  # noqa: BLE001 - what its reader raises when it meets garbage; it names nothing
            failure = stranger(url)
            failure.__cause__ = broken
    if failure is not None:
        raise failure


def _opening(config: StreamConfig | None, key: str | None) -> str | None:
    """Build the first text frame, if there is anything to say in it."""
    fields: dict[str, Any] = {}
    if key is not None:
        fields["Authorization"] = key
    if config is not None:
        said = {name: value for name, value in msgspec.structs.asdict(config).items() if value is not None}
        if said:
            fields["config"] = said
    return msgspec.json.encode(fields).decode() if fields else None


def _again(url: str, resumption: Resumption) -> str:
    parts = urlsplit(url)
    wish = {"resume": resumption.stream_id, "finals": str(resumption.finals)}
    fields = [*parse_qsl(parts.query, keep_blank_values=True), *wish.items()]
    return urlunsplit(parts._replace(query=urlencode(fields)))


def _ended_midway(closed: trio_websocket.ConnectionClosed) -> ClientError:
    reason = closed.reason
    if reason is None or reason.code == ABNORMAL_CLOSURE:
        return BrokenOffError("The connection broke before the transcript was complete.")
    said = f": {reason.reason}" if reason.reason else ""
    return ClientError(
        f"The server closed the connection before the transcript was complete ({reason.code} {reason.name}{said})."
    )

"""A server for the tests of clients: it speaks the protocol on a real socket, and says what a test wants to hear."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio
from trio_websocket import ConnectionClosed, serve_websocket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from trio_websocket import WebSocketConnection, WebSocketRequest

EXPORT_ID = "0123456789abcdef0123456789abcdef"
PARTIAL = '{"partial":" Das"}'
FINAL = '{"result":[{"conf":0.9,"end":0.5,"start":0.1,"word":"Das"},{"conf":0.8,"end":0.9,"start":0.5,"word":"[b]."}],"text":" Das [b]."}'  # noqa: E501 - one line, as it is sent
ERROR = '{"error":"unknown_command","message":"Send audio."}'


@asynccontextmanager
async def serving(handler: Callable[[WebSocketRequest], Awaitable[None]]) -> AsyncGenerator[str, None]:
    """Serve on a free port; gives the URL."""
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_websocket, handler, "127.0.0.1", 0, ssl_context=None))
        yield f"ws://127.0.0.1:{server.port}/"
        nursery.cancel_scope.cancel()


class Obliging:
    """Takes one stream as the real server does: a partial at the first audio, a final and the ID after eof."""

    def __init__(self, *extra: str, on_audio: Callable[[], object] = lambda: None) -> None:
        self.texts: list[str] = []
        self.audio = b""
        self.frames: list[int] = []
        self._extra = extra
        self._on_audio = on_audio

    async def __call__(self, request: WebSocketRequest) -> None:
        """Handle a connection."""
        await self.converse(await request.accept())

    async def converse(self, connection: WebSocketConnection) -> None:
        """Take the stream of a connection that is open."""
        try:
            while (message := await connection.get_message()) != "eof":
                if isinstance(message, str):
                    self.texts.append(message)
                    continue
                if not self.audio:
                    await connection.send_message(PARTIAL)
                    self._on_audio()
                self.audio += message
                self.frames.append(len(message))
            for text in (*self._extra, FINAL, EXPORT_ID):
                await connection.send_message(text)
        except ConnectionClosed:
            pass
        else:
            await connection.aclose()

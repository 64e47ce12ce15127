"""A real server on loopback: real sockets, whisper.cpp with the bundled model, files in a temporary folder."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio_websocket
from wsproto.utilities import LocalProtocolError

from server.app import serve
from server.settings.table import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.app import App

PATIENCE = 120.0


@dataclass
class Outcome:
    """All that a client got: text frames in order, and how the connection was closed."""

    frames: list[str] = field(default_factory=list)
    code: int | None = None

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(frame) for frame in self.frames if frame.startswith("{")]

    @property
    def finals(self) -> list[dict[str, Any]]:
        return [message for message in self.messages if "result" in message]

    @property
    def words(self) -> list[dict[str, Any]]:
        return [word for final in self.finals for word in final["result"]]

    @property
    def errors(self) -> list[str]:
        return [message["error"] for message in self.messages if "error" in message]

    @property
    def export_id(self) -> str:
        assert len(self.frames[-1]) == 32, self.frames[-1]
        return self.frames[-1]


class Client:
    """What tests do with a server."""

    def __init__(self, app: App) -> None:
        self.app = app

    @asynccontextmanager
    async def open(self, path: str = "/") -> AsyncIterator[trio_websocket.WebSocketConnection]:
        # trio-websocket's own way to connect leaves the socket open when the server closes first.
        async with await trio.open_tcp_stream("127.0.0.1", self.app.port) as tcp:
            try:
                async with trio.open_nursery() as nursery:
                    async with await trio_websocket.wrap_client_stream(nursery, tcp, "127.0.0.1", path) as ws:
                        yield ws
            except* LocalProtocolError:
                pass  # it answers a ping that comes while it is closing, which is not allowed any more

    async def talk(self, *frames: str | bytes, path: str = "/") -> Outcome:
        """Send frames and read until the server closes."""
        outcome = Outcome()
        with trio.fail_after(PATIENCE):
            async with self.open(path) as ws, trio.open_nursery() as nursery:
                nursery.start_soon(self._send, ws, frames)
                await self.read(ws, outcome)
        return outcome

    async def all_streams_ended(self) -> None:
        with trio.fail_after(PATIENCE):
            while self.app.readiness().streams:
                await trio.sleep(0.01)  # real threads are at work, so there is no clock to step

    async def read(self, ws: Any, outcome: Outcome) -> None:
        try:
            while True:
                outcome.frames.append(await ws.get_message())
        except trio_websocket.ConnectionClosed as closed:
            outcome.code = None if closed.reason is None else closed.reason.code

    async def _send(self, ws: Any, frames: tuple[str | bytes, ...]) -> None:
        try:
            for frame in frames:
                await ws.send_message(frame)
        except trio_websocket.ConnectionClosed:
            pass  # the reader reports it

    async def get(self, path: str) -> bytes:
        return (await self.request(path))[1]

    async def request(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        return await trio.to_thread.run_sync(partial(self._request, path, method))

    def _request(self, path: str, method: str) -> tuple[int, bytes]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.app.rest_port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


@asynccontextmanager
async def running(data_dir: Path, **settings: Any) -> AsyncIterator[Client]:
    async with trio.open_nursery() as nursery:
        app = await nursery.start(serve, Settings(port=0, rest_port=0, data_dir=data_dir, **settings))
        yield Client(app)
        app.drain()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with running(tmp_path) as client:
        yield client

"""Clients as strangers and key holders are: any headers, any query, with TLS or without, to both ports of a server."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
import trio_websocket

from tests.conftest import PATIENCE, Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.app import App

Headers = dict[str, str]


async def stream_command(*options: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Run `trioscribe stream` on a short recording, as a program of its own."""
    command = [sys.executable, "-m", "server.cli", "stream", "tests/speech/en-coffee.flac", "--fast", *options]
    with trio.fail_after(PATIENCE):
        return await trio.run_process(
            command, capture_stdout=True, capture_stderr=True, check=False, env=os.environ | environ
        )


class RefusedHandshake(Exception):  # noqa: N818 - it is what is looked for
    """The server's answer to a handshake that it refused."""

    def __init__(self, rejected: trio_websocket.ConnectionRejected) -> None:
        super().__init__(rejected.status_code)
        self.status: int = rejected.status_code
        self.headers = {name.decode().lower(): value.decode() for name, value in rejected.headers}
        self.body: dict[str, str] = json.loads(rejected.body or b"{}")


class Visitor:
    def __init__(self, app: App, *, tls: ssl.SSLContext | None = None) -> None:
        self.app = app
        self.tls = tls

    @asynccontextmanager
    async def stream(self, path: str = "/", headers: Headers | None = None) -> AsyncIterator[Any]:
        """An open WebSocket. Raises `RefusedHandshake`."""
        refused = None
        async with await self.connect(self.app.port) as stream:
            try:
                async with trio.open_nursery() as nursery:
                    extra = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
                    host = (headers or {}).get("Host", f"127.0.0.1:{self.app.port}")
                    extra = [(name, value) for name, value in extra if name != b"Host"]
                    ws = await trio_websocket.wrap_client_stream(nursery, stream, host, path, extra_headers=extra)
                    async with ws:
                        yield ws
            except* trio_websocket.ConnectionRejected as rejected:
                found: BaseException = rejected
                while isinstance(found, BaseExceptionGroup):
                    found = found.exceptions[0]
                assert isinstance(found, trio_websocket.ConnectionRejected)
                refused = RefusedHandshake(found)
        if refused:
            raise refused

    async def connect(self, port: int) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
        tcp = await trio.open_tcp_stream("127.0.0.1", port)
        if self.tls is None:
            return tcp
        secured = trio.SSLStream(tcp, self.tls, server_hostname="localhost", https_compatible=True)
        try:
            await secured.do_handshake()
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(tcp)
            raise
        return secured

    async def talk(self, *frames: str | bytes, path: str = "/", headers: Headers | None = None) -> Outcome:
        """Send frames and read until the server closes."""
        outcome = Outcome()
        with trio.fail_after(PATIENCE):
            async with self.stream(path, headers) as ws:
                try:
                    for frame in frames:
                        await ws.send_message(frame)
                    while True:
                        outcome.frames.append(await ws.get_message())
                except trio_websocket.ConnectionClosed as closed:
                    outcome.code = None if closed.reason is None else closed.reason.code
        return outcome

    async def ask(
        self, path: str, headers: Headers | None = None, method: str = "GET"
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and body of the REST port's answer."""

        def ask() -> tuple[int, http.client.HTTPMessage, bytes]:
            where = ("localhost", self.app.rest_port)
            connection = (
                http.client.HTTPSConnection(*where, timeout=30, context=self.tls)
                if self.tls
                else http.client.HTTPConnection(*where, timeout=30)
            )
            try:
                connection.request(method, path, headers=headers or {})
                response = connection.getresponse()
                return response.status, response.headers, response.read()
            finally:
                connection.close()

        return await trio.to_thread.run_sync(ask)

"""A REST server on a real port, and a client that asks it."""

from __future__ import annotations

import http.client
import socket

import trio


class Server:
    """A REST server on the loopback interface, and how often a connection to it failed."""

    def __init__(self, listener: socket.socket) -> None:
        self.port: int = listener.getsockname()[1]
        self.crashes = 0
        self.crashed = trio.Event()
        self.shutdown = trio.Event()
        self.stopped = trio.Event()

    def crash(self) -> None:
        self.crashes += 1
        self.crashed.set()

    async def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        def ask() -> tuple[http.client.HTTPResponse, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request(method, path, body, {name.replace("_", "-"): at for name, at in headers.items()})
                response = connection.getresponse()
                return response, response.read()
            finally:
                connection.close()

        return await trio.to_thread.run_sync(ask)

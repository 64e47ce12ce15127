"""A server in a process of its own, to be killed, and a client that knows what it was told before."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
import trio_websocket

from tests.conftest import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).parent.parent
FRAME = 3_200


class ServerProcess:
    """A `trioscribe serve` that is ready."""

    def __init__(self, process: trio.Process, ready: str) -> None:
        self.process = process
        self.ready = ready
        port, rest = re.search(r"ws://127\.0\.0\.1:(\d+)/.*http://127\.0\.0\.1:(\d+)/", ready).groups()  # type: ignore[union-attr]
        self.port, self.rest_port = int(port), int(rest)

    def resources(self) -> dict[str, float]:
        """Resident memory in MiB, threads and open files of the process."""
        folder = Path(f"/proc/{self.process.pid}")
        pages = int((folder / "statm").read_text(encoding="ascii").split()[1])
        return {
            "mib": round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1),
            "threads": len(list((folder / "task").iterdir())),
            "files": len(list((folder / "fd").iterdir())),
        }

    async def get(self, path: str) -> bytes:
        return await trio.to_thread.run_sync(partial(self._get, path))

    async def export(self, export_id: str) -> dict[str, Any]:
        export: dict[str, Any] = json.loads(await self.get(f"/exports/{export_id}"))
        return export

    async def finals(self, export_id: str) -> list[dict[str, Any]]:
        finals: list[dict[str, Any]] = json.loads(await self.get(f"/export/transcript/{export_id}"))
        return finals

    async def settled(self, export_id: str, *states: str) -> dict[str, Any]:
        """Wait until an export is in one of these states."""
        with trio.fail_after(120):
            while (export := await self.export(export_id))["state"] not in states:
                await trio.sleep(0.05)  # another process is at work
        return export

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.rest_port}{path}", timeout=30) as response:
            return bytes(response.read())


@asynccontextmanager
async def serving(data_dir: Path, *flags: str) -> AsyncIterator[ServerProcess]:
    """Start a server; at the end it is killed if it still runs."""
    command = [sys.executable, "-m", "server.cli", "serve", "--port", "0", "--rest-port", "0"]
    command += ["--data-dir", str(data_dir), "--log-level", "warning", *flags]
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, command, stdout=subprocess.PIPE, cwd=ROOT, check=False, deliver_cancel=_kill)
        process = await nursery.start(start)
        with trio.fail_after(60):
            ready = b""
            while not ready.endswith(b"\n"):
                got = await process.stdout.receive_some()
                assert got, "the server has ended before it was ready"
                ready += got
        yield ServerProcess(process, ready.decode())
        nursery.cancel_scope.cancel()


async def _kill(process: trio.Process) -> None:
    process.kill()


class Speaker:
    """A client that speaks `pcm` at `speed` times the speed of speech, and notes what it was told and has sent."""

    def __init__(self, pcm: bytes, speed: float = 1.0, language: str = "auto") -> None:
        self.pcm = pcm
        self.language = language
        self.sent = 0
        self.export_id = ""
        self.outcome = Outcome()
        self.speed = speed

    async def speak(self, port: int, *, until: int | None = None, path: str = "/") -> None:
        """Send from where it is up to `until` or the end and `eof`; return when the connection is closed."""
        end = len(self.pcm) if until is None else until
        try:
            # trio-websocket's own way to connect leaves the socket open when the server closes first.
            async with await trio.open_tcp_stream("127.0.0.1", port) as tcp, trio.open_nursery() as nursery:
                async with await trio_websocket.wrap_client_stream(nursery, tcp, "127.0.0.1", path) as ws:
                    self.export_id = dict(ws.handshake_headers)[b"trioscribe-export-id"].decode()
                    nursery.start_soon(self._send, ws, end)
                    await self._read(ws)
                    nursery.cancel_scope.cancel()
        except* (OSError, trio_websocket.ConnectionClosed, trio_websocket.HandshakeError):
            pass  # that is what happens when a server is killed

    async def _read(self, ws: Any) -> None:
        try:
            while True:
                self.outcome.frames.append(await ws.get_message())
        except trio_websocket.ConnectionClosed as closed:
            self.outcome.code = None if closed.reason is None else closed.reason.code

    async def _send(self, ws: Any, end: int) -> None:
        try:
            if not self.sent:
                await ws.send_message(json.dumps({"config": {"language": self.language}}))
            while self.sent < end:
                frame = self.pcm[self.sent : min(end, self.sent + FRAME)]
                await ws.send_message(frame)
                self.sent += len(frame)
                await trio.sleep(len(frame) / 32_000 / self.speed)
            if end == len(self.pcm):
                await ws.send_message("eof")
        except trio_websocket.ConnectionClosed:
            pass

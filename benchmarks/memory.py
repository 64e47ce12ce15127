"""Memory of a server before, during and after one long stream, sent faster than real time."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio
import trio_websocket

from tests.speech import clips

PORT = 18394


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


async def stream(pid: int, hours: float) -> list[float]:
    """Send the test clips over and over; return the memory at ten points."""
    pcm = b"".join(clip.pcm for clip in clips())
    rounds = max(1, round(hours * 3600 * 32_000 / len(pcm)))
    seen = []
    url = f"ws://127.0.0.1:{PORT}/"
    async with trio_websocket.open_websocket_url(url) as ws, trio.open_nursery() as nursery:

        async def speak() -> None:
            for number in range(rounds):
                for position in range(0, len(pcm), 32_000):
                    await ws.send_message(pcm[position : position + 32_000])
                if number % max(1, rounds // 10) == 0:
                    seen.append(resident_mib(pid))
            await ws.send_message("eof")

        nursery.start_soon(speak)
        try:
            while True:
                await ws.get_message()
        except trio_websocket.ConnectionClosed:
            seen.append(resident_mib(pid))
    return seen


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0, help="length of the stream (default: 1)")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "server.cli", "serve", "--port", str(PORT), "--rest-port", "0", "--data-dir"]
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([*command, folder], stdout=subprocess.PIPE)  # noqa: S603 - our own command
        assert server.stdout is not None  # noqa: S101 - for the type checker
        server.stdout.readline()
        start = resident_mib(server.pid)
        begin = time.monotonic()
        during = trio.run(stream, server.pid, arguments.hours)
        took = round(time.monotonic() - begin, 1)
        server.terminate()
        server.wait()
    sys.stdout.write(json.dumps({"hours": arguments.hours, "seconds": took, "mib_start": start, "mib": during}) + "\n")


if __name__ == "__main__":
    main()

"""Throws random and half-sensible bytes at both ports of a server, beside a stream that must not notice.

`python -m benchmarks.fuzz --inputs 100000` starts a server, and prints what it lived through.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import trio
import trio_websocket

from tests.processes import ServerProcess, serving
from tests.speech import clips

KEY: Final = base64.b64encode(bytes(16)).decode()
UPGRADE: Final = (
    "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)
PATHS: Final = (
    "/",
    "/vosk",
    "/?resume=" + "0" * 32,
    "/exports",
    "/export/audio/../../etc/passwd",
    "/health",
    "/%00",
    "/" * 999,
)
TOGETHER: Final = 16
"""Connections at a time."""


def hostile(chance: random.Random) -> bytes:
    """One input: noise, a request with noise in it, or frames with noise in them behind a good handshake."""
    noise = chance.randbytes(chance.choice([0, 1, 7, 100, 2_000]))
    path = chance.choice(PATHS)
    kind = chance.randrange(6)
    if kind == 0:
        return noise
    if kind == 1:
        return f"GET {path} HTTP/1.1\r\n".encode() + noise
    if kind == 2:  # noqa: PLR2004 - kinds are numbered
        method, length = chance.choice(["GET", "DELETE", "PUT", "X"]), chance.randrange(-9, 10**9)
        return f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode() + noise
    if kind == 3:  # noqa: PLR2004
        good = bytearray(UPGRADE.format(path=path, key=KEY, more="").encode())
        for _ in range(chance.randrange(1, 5)):
            good[chance.randrange(len(good))] = chance.randrange(256)
        return bytes(good)
    upgrade = UPGRADE.format(path=path, key=KEY, more="").encode()
    if kind == 4:  # noqa: PLR2004
        return upgrade + noise  # early data
    payload = chance.choice([b"eof", b'{"config": {"sample_rate": 1e999}}', b"{" * 500, noise, bytes(3_200)])
    return upgrade + frame(chance, payload)


def frame(chance: random.Random, payload: bytes) -> bytes:
    """A masked WebSocket frame (RFC 6455, 5.2) with any opcode, whole or cut off, its length now and then a lie."""
    opcode = chance.choice([0, 1, 2, 3, 8, 9, 10, 15])
    length = len(payload) if chance.random() < 0.8 else chance.randrange(2**16)  # noqa: PLR2004
    head = bytes([0x80 | opcode, 0x80 | 126]) + length.to_bytes(2, "big") + bytes(4)
    whole = head + payload
    return whole if chance.random() < 0.9 else whole[: chance.randrange(len(whole))]  # noqa: PLR2004


async def throw(port: int, data: bytes) -> None:
    """Send an input, look at what comes for a moment, and go, now and then without a goodbye."""
    try:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(data)
            with trio.move_on_after(0.02):
                await stream.receive_some(4_096)
    except (OSError, trio.BrokenResourceError):
        pass  # the server may close whenever it likes


async def canary(server: ServerProcess, ended: trio.Event, delays: list[float], failures: list[str]) -> None:
    """Stream at the speed of speech, clip after clip, and note what is lost and how late the end comes."""
    clip = next(clip for clip in clips() if clip.name == "en-letter")
    while not ended.is_set():
        url = f"ws://127.0.0.1:{server.port}/"
        async with trio_websocket.open_websocket_url(url) as ws:
            for start in range(0, len(clip.pcm), 3_200):
                await ws.send_message(clip.pcm[start : start + 3_200])
                await trio.sleep(0.1)
            begin = time.monotonic()
            await ws.send_message("eof")
            last = ""
            try:
                while True:
                    last = str(await ws.get_message())
            except trio_websocket.ConnectionClosed as closed:
                if closed.reason is None or closed.reason.code != 1000:  # noqa: PLR2004 - a normal close
                    failures.append(f"closed with {closed.reason}")
            delays.append(time.monotonic() - begin)
            if (await server.get(f"/export/audio/{last}"))[44:] != clip.pcm:
                failures.append(f"the audio of {last} is not what was sent")


async def run(inputs: int, seed: int) -> dict[str, object]:
    """Throw `inputs` inputs; return what was seen."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    delays: list[float] = []
    failures: list[str] = []
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        async with serving(Path(folder), "--resume-s", "1", "--log-level", "critical") as server:
            ended, before = trio.Event(), server.resources()
            left = iter(range(inputs))

            async def keep_throwing() -> None:
                for _ in left:
                    await throw(chance.choice([server.port, server.rest_port]), hostile(chance))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(canary, server, ended, delays, failures)
                async with trio.open_nursery() as throwing:
                    for _ in range(TOGETHER):
                        throwing.start_soon(keep_throwing)
                ended.set()
            await trio.sleep(12)  # close handshakes that are not answered
            after = server.resources()
            alive = server.process.returncode is None
    return {
        "inputs": inputs,
        "seed": seed,
        "seconds": round(time.monotonic() - begin, 1),
        "alive": alive,
        "failures": failures,
        "canary_streams": len(delays),
        "eof_to_end_median_s": round(statistics.median(delays), 3),
        "eof_to_end_worst_s": round(max(delays), 3),
        "before": before,
        "after": after,
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    sys.stdout.write(json.dumps(trio.run(run, arguments.inputs, arguments.seed)) + "\n")


if __name__ == "__main__":
    main()

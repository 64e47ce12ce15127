"""Very many short streams, and one of many hours sent as fast as the server takes it: what a server takes meanwhile.

`python -m benchmarks.soak --streams 10000 --hours 3` prints memory, threads and open files at ten points of each part.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio
import trio_websocket

from tests.processes import ServerProcess, serving
from tests.speech import clips

if TYPE_CHECKING:
    from collections.abc import Callable

POINTS = 10
TOGETHER = 4
"""Short streams at a time: fewer than the host holds, so that none is refused."""


class Course:
    """The resources of a server over time."""

    def __init__(self, server: ServerProcess, whole: int) -> None:
        self.points: list[dict[str, float]] = [server.resources()]
        self._server = server
        self._every = max(1, whole // POINTS)
        self._count = 0

    def step(self) -> None:
        """Something has been done; note the resources now and then."""
        self._count += 1
        if self._count % self._every == 0:
            self.points.append(self._server.resources())


async def stream(server: ServerProcess, frames: list[bytes], step: Callable[[], None]) -> tuple[str, int]:
    """Send frames and `eof`; return the last message and how many words came."""
    last, words = "", 0
    async with (
        trio_websocket.open_websocket_url(f"ws://127.0.0.1:{server.port}/") as ws,
        trio.open_nursery() as nursery,
    ):

        async def speak() -> None:
            for frame in frames:
                await ws.send_message(frame)
                step()
            await ws.send_message("eof")

        nursery.start_soon(speak)
        try:
            while True:
                last = str(await ws.get_message())
                if last.startswith("{"):
                    words += len(json.loads(last).get("result", ()))
        except trio_websocket.ConnectionClosed:
            nursery.cancel_scope.cancel()
    return last, words


async def short_streams(server: ServerProcess, count: int) -> dict[str, object]:
    """Stretches of speech of 0.2 to 1.5 s."""
    chance = random.Random(1)  # noqa: S311 - not for secrets
    pcm = b"".join(clip.pcm for clip in clips())
    course = Course(server, count)
    left = iter(range(count))
    failures = 0

    async def one_after_the_other() -> None:
        nonlocal failures
        for _ in left:
            length = 2 * chance.randrange(3_200, 24_000)
            start = 2 * chance.randrange((len(pcm) - length) // 2)
            last, _ = await stream(server, [pcm[start : start + length]], lambda: None)
            failures += len(last) != 32  # noqa: PLR2004 - an ID
            course.step()

    async with trio.open_nursery() as nursery:
        for _ in range(TOGETHER):
            nursery.start_soon(one_after_the_other)
    return {"streams": count, "failures": failures, "course": course.points}


async def long_stream(server: ServerProcess, hours: float) -> dict[str, object]:
    """The test clips over and over, as fast as the server takes them."""
    pcm = b"".join(clip.pcm for clip in clips())
    rounds = max(1, round(hours * 3_600 * 32_000 / len(pcm)))
    frames = [pcm[start : start + 32_000] for start in range(0, len(pcm), 32_000)] * rounds
    course = Course(server, len(frames))
    begin = time.monotonic()
    last, words = await stream(server, frames, course.step)
    took = time.monotonic() - begin
    export = await server.export(last)
    return {
        "hours": round(export["duration"] / 3_600, 3),
        "seconds": round(took, 1),
        "words": words,
        "words_in_export": export["words"],
        "course": course.points,
    }


async def run(streams: int, hours: float) -> None:
    """Do both parts with one server, and print each when it is done."""
    with tempfile.TemporaryDirectory() as folder:
        async with serving(Path(folder), "--max-stream-h", "1000", "--keep-exports", "1000") as server:
            for part in (partial(short_streams, server, streams), partial(long_stream, server, hours)):
                sys.stdout.write(json.dumps(await part()) + "\n")
                sys.stdout.flush()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--streams", type=int, default=10_000, help="short streams (default: 10000)")
    parser.add_argument("--hours", type=float, default=3.0, help="length of the long stream (default: 3)")
    arguments = parser.parse_args()
    trio.run(run, arguments.streams, arguments.hours)


if __name__ == "__main__":
    main()

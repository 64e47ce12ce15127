"""Latency of words that stay, accuracy, and the event loop's longest stall, with streams paced at 1x over real sockets.

A word's latency is the time from which it stands for good in what the client was sent, minus the time at which its last
sample was sent, inference included: the computation-aware latency of simultaneous translation (Ma et al. 2020,
SimulEval). Run it with `python -m benchmarks.latency --help`.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio
import trio_websocket

from engine.text import normalise
from server.app import serve
from server.settings.table import Settings
from tests.speech import Clip, clips, errors

if TYPE_CHECKING:
    from server.app import App

FRAME_SECONDS: Final = 0.1
TICK_SECONDS: Final = 0.002
BYTES_PER_SECOND: Final = 32_000


@dataclass
class Run:
    """What one stream measured. Times in seconds."""

    said: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    closing: float = 0.0


@dataclass
class Loop:
    """The longest time for which the event loop did not come round, in seconds."""

    longest: float = 0.0

    async def watch(self) -> None:
        """Sleep for a tick again and again, and note how late each wake-up is."""
        while True:
            due = trio.current_time() + TICK_SECONDS
            await trio.sleep_until(due)
            self.longest = max(self.longest, trio.current_time() - due)


async def stream(app: App, clip: Clip, language: str, *, paced: bool) -> Run:
    """Stream a clip, at 1x or at once, and line up what came back with what was said."""
    run = Run([normalise(word) for word, _, _ in clip.words])
    async with (
        await trio.open_tcp_stream("127.0.0.1", app.port) as tcp,
        trio.open_nursery() as nursery,
        await trio_websocket.wrap_client_stream(nursery, tcp, "127.0.0.1", "/") as ws,
    ):
        await ws.send_message(json.dumps({"config": {"language": language}}))
        begin = trio.current_time()
        ended = begin

        async def speak() -> None:
            nonlocal ended
            size = int(FRAME_SECONDS * BYTES_PER_SECOND)
            for position in range(0, len(clip.pcm), size):
                if paced:
                    await trio.sleep_until(begin + position / BYTES_PER_SECOND + FRAME_SECONDS)
                await ws.send_message(clip.pcm[position : position + size])
            ended = trio.current_time()
            await ws.send_message("eof")

        nursery.start_soon(speak)
        stands: list[float] = []
        final: list[str] = []
        try:
            while True:
                message = str(await ws.get_message())
                now = trio.current_time() - begin
                if message.startswith("{"):
                    fields = json.loads(message)
                    words = final + fields.get("partial", fields.get("text", "")).split()
                    stands = stands[: len(words)] + [now] * (len(words) - len(stands))
                    final = words if "result" in fields else final
                run.closing = trio.current_time() - ended
        except trio_websocket.ConnectionClosed:
            pass
    run.heard = [normalise(word) for word in final]
    if run.heard == run.said:
        run.latencies = [at - end for at, (_, _, end) in zip(stands, clip.words, strict=True)]
    return run


async def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """All clips at 1x, `--streams` of them side by side; then all at once, which is offline: no partials in between."""
    with tempfile.TemporaryDirectory() as folder:
        async with trio.open_nursery() as nursery:
            settings = Settings(port=0, rest_port=0, data_dir=Path(folder), model=arguments.model)
            app: App = await nursery.start(serve, settings)
            loop = Loop()
            paced: list[Run] = []
            with trio.CancelScope() as watching:
                async with trio.open_nursery() as streams:
                    streams.start_soon(loop.watch)
                    queue = iter(clips())

                    async def work() -> None:
                        for clip in queue:
                            paced.append(await stream(app, clip, arguments.language or clip.language, paced=True))
                            sys.stderr.write(f"{clip.name} done\n")

                    async with trio.open_nursery() as workers:
                        for _ in range(arguments.streams):
                            workers.start_soon(work)
                    watching.cancel()
            offline = [await stream(app, clip, arguments.language or clip.language, paced=False) for clip in clips()]
            app.drain()
    latencies = sorted(latency for run in paced for latency in run.latencies)
    return {
        "streams": arguments.streams,
        "words": sum(len(run.said) for run in paced),
        "words_measured": len(latencies),
        "stable_word_latency_median_s": round(statistics.median(latencies), 3),
        "stable_word_latency_p95_s": round(latencies[math.ceil(len(latencies) * 0.95) - 1], 3),
        "stable_word_latency_worst_s": round(latencies[-1], 3),
        "eof_to_close_median_s": round(statistics.median(run.closing for run in paced), 3),
        "word_error_rate_streaming": _error_rate(paced),
        "word_error_rate_offline": _error_rate(offline),
        "longest_event_loop_stall_ms": round(loop.longest * 1000, 1),
        "model": arguments.model,
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("trioscribe", "pywhispercpp", "trio", "numpy")},
        "command": "python -m benchmarks.latency " + " ".join(sys.argv[1:]),
    }


def _error_rate(runs: list[Run]) -> float:
    return round(sum(errors(run.heard, run.said) for run in runs) / sum(len(run.said) for run in runs), 4)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description="Latency and accuracy at 1x.")
    parser.add_argument("--streams", type=int, default=1, help="clips streamed side by side (default: 1)")
    parser.add_argument("--model", default="trioscribe-en-de", help="name or path (default: the bundled model)")
    parser.add_argument("--language", default="", help='"auto" to have it detected (default: each clip\'s own)')
    parser.add_argument("--save", type=Path, help="write the result here as JSON")
    arguments = parser.parse_args()
    result = json.dumps(trio.run(measure, arguments), indent=2)
    sys.stdout.write(result + "\n")
    if arguments.save:
        arguments.save.write_text(result + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

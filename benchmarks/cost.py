"""What does streaming cost? `python -m benchmarks.cost --help`.

CPU seconds per second of audio on a metered server (`benchmarks.metered`), against one offline pass of the same model
over the same audio (`benchmarks.offline`), all in one run, so that the ratios hold on a machine whose speed drifts.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from benchmarks import offline, plots, show
from benchmarks.crowd import agendas, talk
from benchmarks.options import parser, run
from benchmarks.score import score
from benchmarks.speech import Silence, Speech
from benchmarks.subject import SubjectError
from benchmarks.summary import summarise
from server.client.connection import connect

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmarks.metered import Reading
    from benchmarks.options import Bench
    from benchmarks.subject import Subject

MODULE: Final = "benchmarks.cost"
SETTLE_SECONDS: Final = 1.0
"""A stream before the first measured one, and the wait before idleness is measured."""


class Cost:
    """CPU in a stretch of time, by phase, with what was streamed in it."""

    def __init__(self, used: Reading, seconds: float, audio: float, word_error_rate: float | None = None) -> None:
        self.used = used
        self.seconds = seconds
        self.audio = audio
        self.word_error_rate = word_error_rate

    @property
    def per_second(self) -> float:
        """CPU seconds per second of audio, or by the clock where there is no audio."""
        return self.used.process / (self.audio or self.seconds)

    def phases(self) -> dict[str, float]:
        """The same by phase."""
        return {name: cpu / (self.audio or self.seconds) for name, cpu in self.used.phases().items()}

    def figures(self, offline_cost: float) -> dict[str, object]:
        """As plain values."""
        phases = self.used.phases()
        whole = self.used.process or 1.0
        native = sum(phases[name] for name in ("mel", "encoder", "decoder", "sampling", "detector"))
        return {
            "audio_seconds": round(self.audio, 1),
            "seconds": round(self.seconds, 1),
            "cpu_seconds": round(self.used.process, 2),
            "cpu_per_second_of_audio": round(self.per_second, 4),
            "cores": round(self.used.process / self.seconds, 4),
            "times_one_offline_pass": round(self.per_second / offline_cost, 2) if self.audio else None,
            "windows_per_second_of_audio": round(self.used.whisper_calls / (self.audio or self.seconds), 2),
            "phases_per_second_of_audio": {name: round(value, 5) for name, value in self.phases().items()},
            "share_of_the_servers_own_code": round(1 - native / whole, 4),
            "word_error_rate": self.word_error_rate,
        }


def streaming(subject: Subject, plans: Sequence[Sequence[Speech | Silence]], what: str, language: str | None) -> Cost:
    """Cost of some clients at 1x, after a short stream that wakes everything up."""
    audio = sum(speech.seconds for plan in plans for speech in plan)
    trio.run(partial(talk, subject.url, [[Silence(SETTLE_SECONDS)]]))
    with show.progress(what, audio) as advance:
        before = subject.reading()
        began = time.perf_counter()
        journals = trio.run(partial(talk, subject.url, plans, language=language, on_seconds=advance))
        seconds = time.perf_counter() - began
        used = subject.reading().since(before)
    summary = summarise([score(journal) for journal in journals])
    if summary.failures:
        raise SubjectError(f"A stream failed: {summary.failures[0]}")
    return Cost(used, seconds, audio, summary.word_error_rate if summary.said else None)


async def idle(subject: Subject, connections: int, seconds: float) -> Reading:
    """Cost of connections that say nothing."""

    async def hold(opened: trio.MemorySendChannel[None]) -> None:
        async with connect(subject.url):
            await opened.send(None)
            await trio.sleep_forever()

    sender, receiver = trio.open_memory_channel[None](0)
    async with trio.open_nursery() as nursery:
        for _ in range(connections):
            nursery.start_soon(hold, sender)
        for _ in range(connections):
            await receiver.receive()
        await trio.sleep(SETTLE_SECONDS)
        before = subject.reading()
        await trio.sleep(seconds)
        used = subject.reading().since(before)
        nursery.cancel_scope.cancel()
    return used


def measure(asked: Bench, arguments: argparse.Namespace) -> None:
    """Measure all, save and show. Raises `SubjectError` or `ModelError`."""
    costs: dict[str, Cost] = {}
    seconds = arguments.seconds
    speeches: list[Speech | Silence] = []
    for streams in arguments.streams:
        plans = agendas("monologue", streams, seconds=seconds, connections=1)
        speeches = speeches or [speech for plan in plans for speech in plan]
        with asked.subject(metered=True) as subject:
            costs[f"speech, {streams} stream{'s' * (streams > 1)}"] = streaming(
                subject, plans, f"speech all the time, {streams} at 1x", asked.language
            )
    with asked.subject(metered=True) as subject:
        ready = subject.ready_after
        costs["silence, 1 stream"] = streaming(subject, [[Silence(seconds)]], "a silent stream", asked.language)
        used = trio.run(idle, subject, 0, arguments.idle_seconds)
        costs["nobody connected"] = Cost(used, arguments.idle_seconds, 0.0)
        used = trio.run(idle, subject, arguments.idle, arguments.idle_seconds)
        costs[f"{arguments.idle} idle connections"] = Cost(used, arguments.idle_seconds, 0.0)
    spoken = [speech for speech in speeches if isinstance(speech, Speech)]
    with show.progress("offline", sum(speech.seconds for speech in spoken)) as advance:
        once = offline.decode(asked.model_path, asked.audio_ctx_floor, spoken, on_seconds=advance)
    offline_cost = once.cpu_seconds / once.audio_seconds
    figures: dict[str, object] = {
        "ready_after_s": None if ready is None else round(ready, 2),
        "offline_cpu_per_second_of_audio": round(offline_cost, 4),
        **{name: cost.figures(offline_cost) for name, cost in costs.items()},
    }
    result = asked.result("cost", figures, {})
    path = result.save(asked.folder)
    bars = {name: cost.phases() for name, cost in costs.items()}
    title = f"CPU seconds per second of audio: {asked.label}"
    plots.stacked(path.with_suffix(".png"), title, bars, "CPU seconds per second of audio (of clock where none)")
    columns = [_column(cost, offline_cost) for cost in costs.values()]
    once_only = {"CPU seconds a second": f"{offline_cost:.4f}", "times one offline pass": "1.0"}
    rows = [(row, *(column[row] for column in columns), once_only.get(row, "")) for row in columns[0]]
    show.table(title, ("", *costs, "one offline pass"), rows)
    if ready is not None:
        print(f"Ready {ready:.2f} s after the start.")
    print(path)


def _column(cost: Cost, offline_cost: float) -> dict[str, str]:
    figures = cost.figures(offline_cost)
    own = figures["share_of_the_servers_own_code"]
    return {
        "CPU seconds a second": f"{cost.per_second:.4f}",
        "times one offline pass": f"{cost.per_second / offline_cost:.1f}" if cost.audio else "",
        "windows a second": str(figures["windows_per_second_of_audio"]),
        **{f"  {name.replace('_', ' ')}": f"{value:.4f}" for name, value in cost.phases().items()},
        "all but whisper.cpp and detector": f"{own:.1%}" if isinstance(own, float) else "",
        "words wrong, missing, invented": "" if cost.word_error_rate is None else f"{cost.word_error_rate:.1%}",
    }


def main() -> int:
    """Run from the command line."""
    options = parser(MODULE, "CPU per second of audio: speech, silence and idle connections, against one offline pass.")
    options.add_argument("--streams", type=int, nargs="+", default=[1, 8], metavar="N", help="clients at once, in turn")
    options.add_argument("--seconds", type=float, default=60.0, help="length of each stream")
    options.add_argument("--idle", type=int, default=200, help="connections that say nothing")
    options.add_argument("--idle-seconds", type=float, default=20.0, help="how long they are watched")
    return run(options, measure)


if __name__ == "__main__":
    sys.exit(main())

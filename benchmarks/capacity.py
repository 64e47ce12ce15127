"""How many streams does this host hold, and what happens beyond? `python -m benchmarks.capacity --help`.

A number of streams at 1x is held if the 95th percentile of word latency (`benchmarks.score`) is within the limit, every
stream gets its export ID, and no audio is lost: nowhere are more than two words in a row missing, or as many as one
stream alone misses. (Single words are missed by the model, whatever the load; the table shows how many.) The number is
doubled until it is not held, then closed in on. The overload with twice the number held: `benchmarks.overload`.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from benchmarks import offline, plots, show
from benchmarks.crowd import agendas, spoken, talk
from benchmarks.options import parser, run
from benchmarks.overload import Overload, overload
from benchmarks.score import score
from benchmarks.summary import Summary, summarise

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from benchmarks.options import Bench
    from benchmarks.speech import Silence, Speech
    from benchmarks.subject import Subject

MODULE: Final = "benchmarks.capacity"

MISHEARD: Final = 2
"""Words in a row that may be missing because the model misheard them; where more are, audio was lost."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A number of streams, how they fared, and CPU seconds per second of audio (None for a server elsewhere)."""

    streams: int
    summary: Summary
    cpu: float | None

    def held(self, limit: float, alone: Summary) -> bool:
        """Whether all is as it should be, by the limit in seconds and by what one stream misses."""
        latency = self.summary.word_latency
        return (
            not self.summary.failures
            and latency is not None
            and latency.p95 <= limit
            and self.summary.longest_gap <= max(MISHEARD, alone.longest_gap)
        )

    def figures(self) -> dict[str, object]:
        """As plain values."""
        return {"streams": self.streams, "cpu_per_second_of_audio": self.cpu, **self.summary.figures()}


def search(probe: Callable[[int], Probe], *, limit: float, most: int) -> tuple[int, list[Probe]]:
    """The most streams that are held, at most `most`, and all that was tried, in order of streams."""
    first = probe(1)
    tried = {1: first}

    def held(streams: int) -> bool:
        tried[streams] = tried.get(streams) or probe(streams)
        return tried[streams].held(limit, first.summary)

    good, bad = 0, 1
    while held(bad):
        good = bad
        if good >= most:
            return good, [tried[streams] for streams in sorted(tried)]
        bad = min(2 * good, most)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if held(middle) else (good, middle)
    return good, [tried[streams] for streams in sorted(tried)]


def attempt(asked: Bench, subject: Subject, seconds: float, streams: int) -> Probe:
    """So many streams at once."""
    plans = agendas("conversation", streams, seconds=seconds, connections=1)
    audio = sum(speech.seconds for plan in plans for speech in plan)
    before = subject.cpu_seconds() if subject.pid else 0.0
    with show.progress(f"{streams} streams at 1x", audio) as advance:
        journals = trio.run(partial(talk, subject.url, plans, language=asked.language, on_seconds=advance))
    cpu = round((subject.cpu_seconds() - before) / audio, 4) if subject.pid else None
    return Probe(streams, summarise([score(journal) for journal in journals]), cpu)


def measure(asked: Bench, arguments: argparse.Namespace) -> None:
    """Search, overload, save and show. Raises `SubjectError` or `ModelError`."""
    with asked.subject() as subject:
        held, probes = search(
            partial(attempt, asked, subject, arguments.seconds), limit=arguments.limit, most=arguments.most
        )
        beyond = None
        if arguments.overload_seconds:
            load = agendas("conversation", 2 * max(1, held), seconds=arguments.overload_seconds, connections=1)
            beyond = overload(asked, subject, load)
    missing = None if beyond is None or asked.url else missing_offline(asked, load)
    figures: dict[str, object] = {
        "limit_s": arguments.limit,
        "streams_held": held,
        "probes": [probe.figures() for probe in probes],
        "overload": None if beyond is None else {**asdict(beyond), "words": None, "missing_offline": missing},
    }
    samples = {"witness_words": [[one.sent, round(one.seconds, 3)] for one in beyond.words] if beyond else []}
    path = asked.result("capacity", figures, samples).save(asked.folder)
    plots.capacity(
        path.with_suffix(".png"),
        f"{asked.label}: {held} streams within {arguments.limit:g} s",
        [(probe.streams, probe.summary.word_latency) for probe in probes],
        arguments.limit,
        beyond,
    )
    _show(asked, arguments.limit, held, probes)
    if beyond is not None:
        _show_overload(asked, beyond)
    if missing is not None:
        print(f"Of the load's words the same model misses {missing} offline, too.")
    print(path)


def missing_offline(asked: Bench, load: Sequence[Sequence[Speech | Silence]]) -> int:
    """How many words of the load no server could have delivered with this model."""
    speeches = spoken(load)
    with show.progress("offline", sum(speech.seconds for speech in speeches)) as advance:
        once = offline.decode(asked.model_path, asked.audio_ctx_floor, speeches, on_seconds=advance)
    return sum(len(alignment.missing) for alignment in once.alignments(speeches))


def _show(asked: Bench, limit: float, held: int, probes: list[Probe]) -> None:
    rows = [
        (
            str(probe.streams),
            *show.seconds(probe.summary.word_latency)[:3],
            show.seconds(probe.summary.final_latency)[1],
            f"{probe.summary.missing_rate:.1%}",
            f"{probe.summary.word_error_rate:.1%}",
            str(len(probe.summary.failures)),
            "" if probe.cpu is None else f"{probe.cpu:.3f}",
            "yes" if probe.held(limit, probes[0].summary) else "no",
        )
        for probe in probes
    ]
    show.table(
        f"Capacity, {asked.label}: {held} streams within {limit:g} s",
        (
            "streams",
            "words: median",
            "p95",
            "worst",
            "finals: p95",
            "not delivered",
            "word errors",
            "failed",
            "CPU a second",
            "held",
        ),
        rows,
    )


def _show_overload(asked: Bench, beyond: Overload) -> None:
    show.table(
        f"Overload, {asked.label}: {beyond.streams} streams beside one, from {beyond.load[0]} to {beyond.load[1]} s",
        ("the one stream", "words: median", "p95", "worst", "finals: median", "p95", "between outputs: median", "p95"),
        [
            (
                name,
                *show.seconds(phase.word_latency)[:3],
                *show.seconds(phase.final_latency)[:2],
                *show.seconds(phase.partial_interval)[:2],
            )
            for name, phase in beyond.phases.items()
        ],
    )
    loaded = beyond.loaded
    back = "not seen" if beyond.recovery is None else f"{beyond.recovery:.1f} s after the load"
    print(
        f"The load: {loaded.missing} of {loaded.said} words never delivered, word error rate"
        f" {loaded.word_error_rate:.1%}, {len(loaded.failures)} streams failed; normal again: {back}."
    )
    if beyond.memory is not None:
        print(f"Resident memory: {beyond.memory[0]:.0f} MiB before, {beyond.memory[1]:.0f} MiB at the peak.")


def main() -> int:
    """Run from the command line."""
    options = parser(MODULE, "How many concurrent streams at 1x does this host hold, and what happens beyond?")
    options.add_argument("--limit", type=float, default=3.0, help="seconds that the 95th percentile may reach")
    options.add_argument("--seconds", type=float, default=40.0, help="length of each stream in the search")
    options.add_argument("--most", type=int, default=64, help="streams at which the search ends")
    options.add_argument("--overload-seconds", type=float, default=60.0, help="length of the overload; 0 leaves it out")
    return run(options, measure)


if __name__ == "__main__":
    sys.exit(main())

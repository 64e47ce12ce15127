"""Does memory grow with the audio streamed, and how much does a stream hold? `python -m benchmarks.memory --help`.

One long conversation is sent as fast as the server takes it, and its resident memory read on the way; then streams are
opened beside each other at 1x, and the memory that they add is divided among them. Allocators keep what they once had,
so only a fresh server tells what a stream takes: each of the two has its own.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from benchmarks import plots, show
from benchmarks.client import stream
from benchmarks.crowd import agendas, talk
from benchmarks.options import parser, run
from benchmarks.speech import conversation
from benchmarks.subject import SubjectError

if TYPE_CHECKING:
    import argparse

    from benchmarks.options import Bench
    from benchmarks.subject import Subject

MODULE: Final = "benchmarks.memory"
POINTS: Final = 60
WARM: Final = 0.2
"""Share of the long stream after which growth is counted: buffers and native scratch memory have their size by then."""


def long_stream(subject: Subject, seconds: float, language: str | None) -> list[tuple[float, float]]:
    """Stream so much audio at once; return how much had been sent (s) and the memory then (MiB)."""
    seen = [(0.0, subject.resident_mib())]
    sent = 0.0
    with show.progress("a long stream, unpaced", seconds) as advance:

        def note(more: float) -> None:
            nonlocal sent
            sent += more
            advance(more)
            if sent - seen[-1][0] >= seconds / POINTS:
                seen.append((sent, subject.resident_mib()))

        journal = trio.run(
            partial(
                stream, subject.url, conversation("en", seconds, 0), language=language, paced=False, on_seconds=note
            )
        )
    if journal.failure:
        raise SubjectError(f"The long stream failed: {journal.failure}")
    return [*seen, (sent, subject.resident_mib())]


def side_by_side(subject: Subject, streams: int, seconds: float, language: str | None) -> tuple[float, float]:
    """Resident memory (MiB) after one stream, and at the peak of many at 1x."""
    trio.run(partial(talk, subject.url, agendas("conversation", 1, seconds=seconds, connections=1), language=language))
    alone = peak = subject.resident_mib()
    plans = agendas("conversation", streams, seconds=seconds, connections=1)
    with show.progress(f"{streams} streams at 1x", seconds * streams) as advance:

        def note(more: float) -> None:
            nonlocal peak
            peak = max(peak, subject.resident_mib())
            advance(more)

        trio.run(partial(talk, subject.url, plans, language=language, on_seconds=note))
    return alone, peak


def measure(asked: Bench, arguments: argparse.Namespace) -> None:
    """Measure both, save and show. Raises `SubjectError` or `ModelError`."""
    with asked.subject() as subject:
        seen = long_stream(subject, arguments.hours * 3600, asked.language)
    warm = next(mib for sent, mib in seen if sent >= WARM * seen[-1][0])
    hours = (1 - WARM) * seen[-1][0] / 3600
    with asked.subject() as subject:
        alone, peak = side_by_side(subject, arguments.streams, arguments.seconds, asked.language)
    figures = {
        "hours_of_audio": arguments.hours,
        "mib_at_the_start": round(seen[0][1], 1),
        "mib_at_the_end": round(seen[-1][1], 1),
        "mib_grown_per_hour_of_audio": round((seen[-1][1] - warm) / hours, 2),
        "streams": arguments.streams,
        "mib_after_one_stream": round(alone, 1),
        "mib_at_the_peak_of_all": round(peak, 1),
        "mib_per_stream": round((peak - alone) / arguments.streams, 2),
    }
    samples = {"sent_s_and_mib": [[round(sent), round(mib, 1)] for sent, mib in seen]}
    path = asked.result("memory", figures, samples).save(asked.folder)
    plots.memory(path.with_suffix(".png"), f"Memory in a long stream: {asked.label}", seen)
    rows = [(name.replace("_", " "), str(value)) for name, value in figures.items()]
    show.table(f"Memory: {asked.label}", ("", ""), rows)
    print(path)


def main() -> int:
    """Run from the command line."""
    options = parser(MODULE, "Resident memory through one long stream, and what a stream adds to it.")
    options.add_argument("--hours", type=float, default=1.0, help="length of the long stream, in hours of audio")
    options.add_argument("--streams", type=int, default=16, help="streams side by side")
    options.add_argument("--seconds", type=float, default=20.0, help="length of each of them")
    return run(options, measure)


if __name__ == "__main__":
    sys.exit(main())

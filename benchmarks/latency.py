"""How long after it was said does a word stand for good? `python -m benchmarks.latency --help`.

The measure and its sources: `benchmarks.score`.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from benchmarks import plots, show
from benchmarks.crowd import agendas, talk
from benchmarks.options import parser, run
from benchmarks.score import score
from benchmarks.summary import summarise

if TYPE_CHECKING:
    import argparse

    from benchmarks.options import Bench

MODULE: Final = "benchmarks.latency"


def measure(asked: Bench, arguments: argparse.Namespace) -> None:
    """Stream, judge, save and show. Raises `SubjectError` or `ModelError`."""
    plans = agendas(arguments.source, arguments.streams, seconds=arguments.seconds, connections=arguments.connections)
    audio = sum(speech.seconds for plan in plans for speech in plan)
    with asked.subject() as subject, show.progress("streaming at 1x", audio) as advance:
        before = subject.cpu_seconds() if subject.pid else 0.0
        journals = trio.run(partial(talk, subject.url, plans, language=asked.language, on_seconds=advance))
        cpu = subject.cpu_seconds() - before if subject.pid else None
    scores = [score(journal) for journal in journals]
    summary = summarise(scores)
    words = [latency for one in scores for latency in one.words]
    finals = [latency for one in scores for latency in one.finals]
    figures = {"streams": arguments.streams, "source": arguments.source, "audio_seconds": round(audio, 1)}
    figures |= summary.figures()
    if cpu is not None:
        figures["cpu_seconds_per_second_of_audio"] = round(cpu / audio, 4)
    samples = {
        "words_sent_and_latency": [[round(one.sent, 1), round(one.seconds, 3)] for one in words],
        "finals_sent_and_latency": [[round(one.sent, 1), round(one.seconds, 3)] for one in finals],
    }
    result = asked.result(f"latency-{arguments.source}-{arguments.streams}", figures, samples)
    path = result.save(asked.folder)
    title = f"{asked.label}, {arguments.source}, {arguments.streams} streams at 1x"
    plots.latency(path.with_suffix(".png"), title, words, finals)
    rows = show.summary_rows(summary)
    if cpu is not None:
        rows.append(("CPU seconds per second of audio", f"{cpu / audio:.3f}", "", "", ""))
    show.table(f"Latency: {title}", ("", "median", "p95", "worst", "count"), rows)
    print(path)


def main() -> int:
    """Run from the command line."""
    options = parser(MODULE, "How long after it was said does a word stand for good, and when is it final?")
    options.add_argument("--streams", type=int, default=1, help="clients at once")
    options.add_argument(
        "--source",
        choices=("conversation", "clips", "monologue"),
        default="conversation",
        help="what they say: clips assembled with pauses; each clip alone, as recorded; clips with hardly a pause",
    )
    options.add_argument("--seconds", type=float, default=30.0, help="length of a connection (not with clips)")
    options.add_argument("--connections", type=int, default=4, help="connections of each client (not with clips)")
    return run(options, measure)


if __name__ == "__main__":
    sys.exit(main())

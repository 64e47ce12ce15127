"""For how long does the event loop not come round? `python -m benchmarks.stalls --help`.

A turn of the loop is the time between two of its looks at the sockets. While it lasts, no other stream is heard, no
ping answered and nothing sent. Measured inside the server by Trio's instruments (`benchmarks.metered`), by the clock,
so that what other programs take from the server on a busy host is in it.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from benchmarks import plots, show
from benchmarks.crowd import agendas, talk
from benchmarks.options import parser, run

if TYPE_CHECKING:
    import argparse

    from benchmarks.options import Bench

MODULE: Final = "benchmarks.stalls"
LIMITS: Final = (0.01, 0.05, 0.1)
"""Seconds: longer turns are counted."""


def turns(asked: Bench, streams: int, seconds: float) -> list[float]:
    """The turns longer than a millisecond while so many clients stream, in seconds, the longest last."""
    plans = agendas("conversation", streams, seconds=seconds, connections=1)
    audio = sum(speech.seconds for plan in plans for speech in plan)
    with asked.subject(metered=True) as subject, show.progress(f"{streams} streams at 1x", audio) as advance:
        subject.reading()
        trio.run(partial(talk, subject.url, plans, language=asked.language, on_seconds=advance))
        return sorted(subject.reading().turns)


def measure(asked: Bench, arguments: argparse.Namespace) -> None:
    """Stream, save and show. Raises `SubjectError` or `ModelError`."""
    measured = {streams: turns(asked, streams, arguments.seconds) for streams in arguments.streams}
    figures = {
        str(streams): {
            "longest_ms": round(1000 * max(found, default=0.0), 1),
            "per_minute": {
                f"over_{limit * 1000:g}_ms": round(60 * sum(turn > limit for turn in found) / arguments.seconds, 1)
                for limit in LIMITS
            },
        }
        for streams, found in measured.items()
    }
    longest = {str(streams): [round(1000 * turn, 2) for turn in found[-100:]] for streams, found in measured.items()}
    path = asked.result("stalls", figures, {"longest_turns_ms": longest}).save(asked.folder)
    plots.turns(path.with_suffix(".png"), f"Event loop: {asked.label}", measured)
    rows = [
        (
            str(streams),
            f"{1000 * max(found, default=0.0):.0f} ms",
            *(f"{60 * sum(turn > limit for turn in found) / arguments.seconds:.1f}" for limit in LIMITS),
        )
        for streams, found in measured.items()
    ]
    over = (f"over {limit * 1000:g} ms, a minute" for limit in LIMITS)
    show.table(f"Turns of the event loop: {asked.label}", ("streams", "longest", *over), rows)
    print(path)


def main() -> int:
    """Run from the command line."""
    options = parser(MODULE, "For how long does the server's event loop not look at its sockets?")
    options.add_argument("--streams", type=int, nargs="+", default=[1, 4, 8], metavar="N", help="clients, in turn")
    options.add_argument("--seconds", type=float, default=30.0, help="length of each stream")
    return run(options, measure)


if __name__ == "__main__":
    sys.exit(main())

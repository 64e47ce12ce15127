"""Twice as many streams as are held, for a while: what degrades, and how long until all is normal again.

One more stream, the witness, begins before the load and goes on after it. All is normal again when its latency has
settled in the band around what it was before the load (the settling time of control theory): see `recovery`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import trio

from benchmarks import show
from benchmarks.client import stream
from benchmarks.crowd import talk
from benchmarks.score import Latency, score, utterances
from benchmarks.speech import conversation
from benchmarks.subject import SubjectError
from benchmarks.summary import Spread, Summary, spread, summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.client import Journal
    from benchmarks.options import Bench
    from benchmarks.speech import Silence, Speech
    from benchmarks.subject import Subject

BEFORE_SECONDS: Final = 20.0
AFTER_SECONDS: Final = 40.0
"""How long the witness speaks before and after the load."""

ARRIVAL_SECONDS: Final = 5.0
"""The load's streams begin within this time."""

WINDOW_SECONDS: Final = 10.0
QUANTILE: Final = 0.9
BAND: Final = 1.25
"""Latency is normal in a window of so many seconds whose quantile is at most so many times that before the load.

Chosen on a stream that saw no load at all, cut at any second as if one had ended there: by these it is normal at once
in 96 of 100 cuts. By its slowest word, as this was measured at first, it would be so after 31 s (median).
"""

WITNESS_SEED: Final = 1000
"""No stream of the load says the same."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What the witness saw in a part of its stream, in seconds."""

    word_latency: Spread | None
    final_latency: Spread | None
    partial_interval: Spread | None


@dataclass(frozen=True, slots=True)
class Overload:
    """The load: how many streams, from when to when by the witness's clock, and how they fared all in all.

    `recovery`: seconds from the load's end until all is normal; None if it did not become so. `memory`: of the server,
    in MiB, before the load and at its peak; None for a server that was not started here.
    """

    streams: int
    load: tuple[float, float]
    words: tuple[Latency, ...]
    phases: dict[str, Phase]
    loaded: Summary
    recovery: float | None
    memory: tuple[float, float] | None


def overload(asked: Bench, subject: Subject, load: Sequence[Sequence[Speech | Silence]]) -> Overload:
    """Load a server with these plans. Raises `SubjectError` if the load does not end before the witness does."""
    streams, seconds = len(load), max(sum(speech.seconds for speech in plan) for plan in load)
    witness = conversation("en", BEFORE_SECONDS + seconds + AFTER_SECONDS, WITNESS_SEED)
    memory = [subject.resident_mib()] if subject.pid else []
    with show.progress(f"overload: {streams} streams beside one", witness.seconds) as advance:
        own, others = trio.run(partial(_run, asked, subject, witness, load, memory, advance))
    begin = min(journal.began for journal in others) - own.began
    end = max(journal.began + journal.speech.seconds for journal in others) - own.began
    words = score(own).words
    return Overload(
        streams,
        (round(begin, 1), round(end, 1)),
        words,
        {
            "before": phase(own, 0.0, begin),
            "during": phase(own, begin, end),
            "after": phase(own, end, witness.seconds),
        },
        summarise([score(journal) for journal in others]),
        recovery(words, begin, end),
        (round(memory[0], 1), round(max(memory), 1)) if memory else None,
    )


def phase(journal: Journal, begin: float, end: float) -> Phase:
    """What was sent, and what came, between two times of a stream."""
    judged = score(journal)
    intervals = [
        later.at - earlier.at
        for utterance in utterances(journal.outputs)
        for earlier, later in pairwise(utterance)
        if begin <= later.at < end
    ]
    return Phase(
        spread(latency.seconds for latency in judged.words if begin <= latency.sent < end),
        spread(latency.seconds for latency in judged.finals if begin <= latency.sent < end),
        spread(intervals),
    )


def recovery(words: Sequence[Latency], begin: float, end: float) -> float | None:
    """Seconds from the load's end to the first window from which on latency is normal in all.

    Windows begin at the load's end and with every word after it, and end with the last word at the latest. None where
    the last of them is not normal, there is none, or there was no word before the load.
    """
    before = [latency.seconds for latency in words if latency.sent < begin]
    after = [latency for latency in words if latency.sent >= end]
    starts = [end, *(latency.sent for latency in after)]
    windows = [
        (start, [latency.seconds for latency in after if start <= latency.sent < start + WINDOW_SECONDS])
        for start in starts
        if after and start + WINDOW_SECONDS <= after[-1].sent
    ]
    if not before or not windows:
        return None
    normal = BAND * np.quantile(before, QUANTILE)
    back = None
    for start, seconds in reversed(windows):
        if seconds and np.quantile(seconds, QUANTILE) > normal:
            break
        back = round(start - end, 2)
    return back


async def _run(  # noqa: PLR0913, PLR0917 - the parts of one experiment
    asked: Bench,
    subject: Subject,
    witness: Speech,
    load: Sequence[Sequence[Speech | Silence]],
    memory: list[float],
    advance: Callable[[float], None],
) -> tuple[Journal, list[Journal]]:
    own: list[Journal] = []
    others: list[Journal] = []

    async def testify() -> None:
        own.append(await stream(subject.url, witness, language=asked.language, on_seconds=advance))
        nursery.cancel_scope.cancel()

    async def press() -> None:
        await trio.sleep(BEFORE_SECONDS)
        others.extend(await talk(subject.url, load, language=asked.language, stagger=ARRIVAL_SECONDS / len(load)))

    async def watch() -> None:
        while subject.pid is not None:
            memory.append(subject.resident_mib())
            await trio.sleep(0.5)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(testify)
        nursery.start_soon(press)
        nursery.start_soon(watch)
    if not own or not others:
        raise SubjectError("The load's streams had not come to their end when the witness had.")
    return own[0], others

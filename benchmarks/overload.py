"""Twice as many streams as are held, for a while: what degrades, and how long until all is normal again.

One more stream, the witness, begins before the load and goes on after it. All is normal again with the first of its
words from which on every word stands as soon as the slowest did before the load.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

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
    """Seconds from the load's end to the first word from which on all stand as soon as the slowest before the load.

    None if that does not come to pass, or there are no words to compare.
    """
    normal = max((latency.seconds for latency in words if latency.sent < begin), default=0.0)
    after = [latency for latency in words if latency.sent >= end]
    slow = [latency.sent for latency in after if latency.seconds > normal]
    good = [latency.sent for latency in after if not slow or latency.sent > slow[-1]]
    return round(good[0] - end, 2) if good and normal else None


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

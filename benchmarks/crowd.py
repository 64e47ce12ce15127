"""Many clients at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from benchmarks.client import stream
from benchmarks.speech import Speech, conversation, monologue, of_clip, recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.client import Journal
    from benchmarks.speech import Silence

STAGGER: Final = 0.37
"""Seconds between the beginnings of two clients, so that they do not run in step."""

LANGUAGES: Final = ("en", "de")


def agendas(source: str, streams: int, *, seconds: float, connections: int) -> list[list[Speech | Silence]]:
    """What each of the clients says, one connection after the other.

    `source` is "clips" (every recording as it is, once), "conversation" or "monologue" (each of `connections`
    connections `seconds` long). Languages alternate from connection to connection.
    """
    if source == "clips":
        speeches = [of_clip(clip) for clip in recorded()]
        turn = [index * len(speeches) // streams for index in range(streams)]
        return [[*speeches[at:], *speeches[:at]] for at in turn]
    make = monologue if source == "monologue" else conversation
    return [
        [
            make(LANGUAGES[(stream + number) % 2], seconds, stream * connections + number)
            for number in range(connections)
        ]
        for stream in range(streams)
    ]


def spoken(plans: Iterable[Iterable[Speech | Silence]]) -> list[Speech]:
    """All speeches of those plans, without the silences."""
    return [speech for plan in plans for speech in plan if isinstance(speech, Speech)]


async def talk(
    url: str,
    plans: Sequence[Sequence[Speech | Silence]],
    *,
    language: str | None = None,
    stagger: float = STAGGER,
    on_seconds: Callable[[float], None] = lambda _: None,
) -> list[Journal]:
    """Run a client at 1x for each plan, all at once; each says its speeches one after the other.

    They begin `stagger` seconds after each other.
    """
    journals: list[Journal] = []

    async def one(number: int, plan: Sequence[Speech | Silence]) -> None:
        await trio.sleep(number * stagger)
        for speech in plan:
            journal = await stream(url, speech, language=language, on_seconds=on_seconds)
            journals.append(journal)

    async with trio.open_nursery() as nursery:
        for number, plan in enumerate(plans):
            nursery.start_soon(partial(one, number, plan))
    return journals

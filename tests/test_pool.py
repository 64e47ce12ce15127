"""Who is served next, under a clock that the tests step."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from trio.testing import MockClock  # noqa: TC002 - a fixture's type, looked at when the tests are collected

from engine.scripted import ScriptedRecognizer
from server.inference.pool import InferencePool
from server.inference.scheduler import PARTIAL_PATIENCE, Scheduler


def test_finals_go_before_partials() -> None:
    scheduler = Scheduler(1, 1)
    waiting = scheduler.enqueue(final=False, now=0.0)
    final = scheduler.enqueue(final=True, now=0.5)
    assert scheduler.grant() is final
    assert scheduler.grant() is None
    scheduler.release()
    assert scheduler.grant() is waiting


def test_finals_cannot_starve_a_partial() -> None:
    scheduler = Scheduler(1, 1)
    waiting = scheduler.enqueue(final=False, now=0.0)
    scheduler.enqueue(final=True, now=PARTIAL_PATIENCE + 0.1)
    assert scheduler.grant() is waiting


def test_cores_are_shared_among_those_who_want_one() -> None:
    scheduler = Scheduler(4, 4)
    scheduler.enqueue(final=False, now=0.0)
    scheduler.grant()
    assert scheduler.threads == 4
    scheduler.enqueue(final=False, now=0.0)
    scheduler.grant()
    assert scheduler.threads == 2


@pytest.fixture
def pool() -> InferencePool:
    return InferencePool([ScriptedRecognizer([])], cores=1)


async def test_a_slot_is_for_one_at_a_time_and_in_turn(
    pool: InferencePool,
    autojump_clock: MockClock,  # noqa: ARG001 - asking for it steps the clock
) -> None:
    served: list[tuple[str, float]] = []

    async def want(name: str, *, final: bool, after: float) -> None:
        await trio.sleep(after)
        async with pool.slot(final=final):
            served.append((name, trio.current_time()))
            await trio.sleep(1)

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for name, final, after in (("first", False, 0.0), ("partial", False, 0.1), ("final", True, 0.2)):
            nursery.start_soon(partial(want, name, final=final, after=after))
    assert [(name, round(at - start, 3)) for name, at in served] == [("first", 0), ("final", 1), ("partial", 2)]


async def test_who_gives_up_waiting_leaves_the_line(
    pool: InferencePool,
    autojump_clock: MockClock,  # noqa: ARG001 - asking for it steps the clock
) -> None:
    async with pool.slot(final=True):
        with trio.move_on_after(1) as gave_up:
            async with pool.slot(final=True):
                raise AssertionError("there is but one slot")
        assert gave_up.cancelled_caught
        assert pool.statistics().waiting == 0
    async with pool.slot(final=False):
        assert pool.statistics().busy == 1
    assert pool.statistics().busy == 0

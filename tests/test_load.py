"""Partials come rarer on a busy host, and as often as ever on an idle one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.inference.load import LONGEST, MEMORY_SECONDS, Load


def worked(load: Load, seconds: float, busy: float, start: float = 0.0) -> float:
    """One slot at work for a share of each second; the time at the end."""
    now = start
    while now < start + seconds:
        load.note(1, now)
        load.note(-1, now + busy)
        now += 1.0
    return now


def test_an_idle_host_stretches_nothing_and_a_full_one_all() -> None:
    idle, full = Load(1), Load(1)
    assert idle.stretch(worked(idle, 60, 0.2)) == 1.0
    assert full.stretch(worked(full, 60, 0.9)) == LONGEST


def test_some_time_after_the_load_all_is_as_before() -> None:
    load = Load(1)
    end = worked(load, 60, 1.0)
    assert load.stretch(end) == LONGEST
    assert load.stretch(end + 2 * MEMORY_SECONDS) == 1.0


def test_one_of_two_slots_is_half() -> None:
    load = Load(2)
    load.note(1, 0.0)
    assert load.utilisation(1_000.0) == pytest.approx(0.5)


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=40))
def test_it_is_never_out_of_bounds(steps: list[tuple[float, bool]]) -> None:
    load, now, busy = Load(3), 0.0, 0
    for wait, more in steps:
        now += wait
        change = 1 if more and busy < 3 else -1 if busy else 0
        busy += change
        load.note(change, now)
        assert 0.0 <= load.utilisation(now + 1) <= 1.0 + 1e-9
        assert 1.0 <= load.stretch(now + 1) <= LONGEST

"""Old exports go when it has been set so, the oldest first, and never one that is in use."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import trio
from hypothesis import given
from hypothesis import strategies as st

from server.exports.export import Export, timestamp
from server.exports.retention import Keep, size, surplus
from tests.conftest import running

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def export(number: int, days: float, samples: int, state: str) -> Export:
    created = timestamp(NOW - timedelta(days=days))
    return Export(
        id=f"{number:032x}",
        state=state,  # type: ignore[arg-type]
        created=created,
        sample_rate=16_000,
        samples=samples,
    )


states = st.sampled_from(["live", "complete", "recovered", "interrupted", "damaged"])
shelves = st.lists(st.tuples(st.floats(0, 100), st.integers(0, 10**6), states), max_size=30).map(
    lambda rows: [export(number, *row) for number, row in enumerate(rows)]
)
keeps = st.builds(
    Keep, st.one_of(st.just(0.0), st.floats(0.1, 100)), st.integers(0, 20), st.one_of(st.just(0), st.integers(1, 10**7))
)


@given(shelves, keeps)
def test_what_is_left_is_within_the_limits_and_nothing_goes_needlessly(shelf: list[Export], keep: Keep) -> None:
    gone = surplus(shelf, keep, NOW)
    by_id = {one.id: one for one in shelf}
    assert all(by_id[one].state != "live" for one in gone)
    left = [one for one in shelf if one.id not in gone]
    ended = [one for one in left if one.state != "live"]
    if ended:
        assert not keep.exports or len(left) <= keep.exports or len(ended) <= keep.exports
    if keep.days:
        assert all(one.created >= timestamp(NOW - timedelta(days=keep.days)) for one in ended)
    if keep == Keep():
        assert gone == []
    if keep.bytes and not any(one.state == "live" for one in shelf):
        assert sum(map(size, left)) <= keep.bytes


@given(shelves, st.integers(1, 20))
def test_the_oldest_go_first(shelf: list[Export], count: int) -> None:
    gone = surplus(shelf, Keep(exports=count), NOW)
    by_id = {one.id: one for one in shelf}
    order = [(by_id[one].created, one) for one in gone]
    assert order == sorted(order)
    left = [(one.created, one.id) for one in shelf if one.id not in gone and one.state != "live"]
    assert not order or not left or max(order) < min(left)


async def test_a_server_keeps_as_many_as_it_is_told(tmp_path: Path) -> None:
    ids = []
    async with running(tmp_path) as client:
        ids += [(await client.talk(bytes(3_200), "eof")).export_id for _ in range(3)]
    async with running(tmp_path, keep_exports=2) as client:
        with trio.fail_after(20):
            while len(json.loads(await client.get("/exports"))["exports"]) > 2:
                await trio.sleep(0.05)  # it is swept in the background
        assert [one["id"] for one in json.loads(await client.get("/exports"))["exports"]] == ids[:0:-1]

"""A connection on a busy host is read in larger pieces, and nothing of it is lost or held up for long."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from server.inference.load import LONGEST, REST_SECONDS, Load
from server.transport.pacing import CROWDED_BYTES, Break, PacedStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REST = 0.25


@asynccontextmanager
async def connection(rest: Break) -> AsyncIterator[tuple[PacedStream, trio.SocketStream]]:
    """A server's end that is read at that pace, and its client's."""
    ours, theirs = (trio.SocketStream(end) for end in trio.socket.socketpair())
    async with PacedStream(ours, rest) as paced, theirs:
        yield paced, theirs


async def read(stream: PacedStream, into: list[bytes]) -> None:
    into.append(bytes(await stream.receive_some()))


async def test_what_comes_while_it_rests_is_read_in_one_piece(mock_clock: MockClock) -> None:
    got: list[bytes] = []
    async with connection(Break(lambda: REST)) as (paced, client), trio.open_nursery() as nursery:
        await client.send_all(b"one")
        await read(paced, got)
        nursery.start_soon(read, paced, got)
        for word in (b"two", b"three", b"four"):
            await client.send_all(word)
            await wait_all_tasks_blocked()
        assert got == [b"one"]
        mock_clock.jump(REST)
    assert got == [b"one", b"twothreefour"]


async def test_without_a_rest_everything_is_read_as_it_comes(mock_clock: MockClock) -> None:
    del mock_clock  # it stands still: any wait would be for ever
    got: list[bytes] = []
    async with connection(Break(lambda: 0.0)) as (paced, client):
        for word in (b"one", b"two"):
            await client.send_all(word)
            await read(paced, got)
    assert got == [b"one", b"two"]


async def test_a_client_that_sends_faster_than_anybody_speaks_is_read_on_at_once(mock_clock: MockClock) -> None:
    del mock_clock
    got: list[bytes] = []
    async with connection(Break(lambda: REST)) as (paced, client):
        await client.send_all(bytes(2 * CROWDED_BYTES))
        while sum(map(len, got)) < 2 * CROWDED_BYTES:
            await read(paced, got)
    assert b"".join(got) == bytes(2 * CROWDED_BYTES)


async def test_all_connections_are_read_at_the_same_time(mock_clock: MockClock) -> None:
    got: list[bytes] = []
    rest = Break(lambda: REST)
    async with connection(rest) as (early, one), connection(rest) as (late, other), trio.open_nursery() as nursery:
        for paced, client in ((early, one), (late, other)):
            await client.send_all(b"first")
            await read(paced, got)
            nursery.start_soon(read, paced, got)
            await client.send_all(b"second")
            await wait_all_tasks_blocked()
            mock_clock.jump(REST / 2)
            await wait_all_tasks_blocked()
    assert got == [b"first", b"first", b"second", b"second"]


async def test_a_connection_that_ends_does_not_hold_up_the_others(mock_clock: MockClock) -> None:
    del mock_clock  # it stands still: who began the break would have to end it
    got: list[bytes] = []
    rest = Break(lambda: REST)
    async with connection(rest) as (gone, one), connection(rest) as (staying, other), trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            for paced, client in ((gone, one), (staying, other)):
                await client.send_all(b"first")
                await read(paced, got)
            async with trio.open_nursery() as ended:
                ended.start_soon(read, gone, got)
                await wait_all_tasks_blocked()
                nursery.start_soon(read, staying, got)
                await other.send_all(b"second")
                await wait_all_tasks_blocked()
                assert got == [b"first", b"first"]
                scope.cancel()
    assert got == [b"first", b"first", b"second"]


async def test_the_end_of_a_connection_is_noticed(mock_clock: MockClock) -> None:
    got: list[bytes] = []
    async with connection(Break(lambda: REST)) as (paced, client), trio.open_nursery() as nursery:
        await client.send_all(b"last")
        await client.aclose()
        await read(paced, got)
        nursery.start_soon(read, paced, got)
        await wait_all_tasks_blocked()
        mock_clock.jump(REST)
    assert got == [b"last", b""]


def test_an_idle_host_takes_no_rest_and_a_full_one_a_fifth_of_its_step() -> None:
    load = Load(1)
    assert load.rest(0.0) == 0.0
    load.note(1, 0.0)
    assert load.rest(1_000.0) == pytest.approx(REST_SECONDS * (LONGEST - 1))

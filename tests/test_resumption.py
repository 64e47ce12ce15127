"""Clients that vanish, and those that come back, to the exact time."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import MockClock  # noqa: TC002 - a fixture's type, looked at when the tests are collected

from server.streams.dialects import Vosk
from server.streams.services import StreamLimits
from tests.roaming import LIMITS, Crowding, Mobile, Room, Struck
from tests.virtual_session import (
    EXPORT_ID,
    FRAME,
    WORDS,
    Talker,
    at_speech_speed,
    spoken,
)

NOISE = [(2.0, "no command")] * 2_000
"""More complaints than an outbox has room for."""


async def test_a_client_that_comes_back_goes_on_where_it_was(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS)
    cut = 24 * FRAME
    first = Mobile(*at_speech_speed(pcm[:cut]))
    room = Room(first, script)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.run)
        await trio.sleep(6)
        second = Talker(*at_speech_speed(pcm[cut:], "eof"))
        nursery.start_soon(room.session.resume, second, len(first.finals))
    assert json.loads(second.got[0][1]) == {"resumed": EXPORT_ID, "bytes": cut}
    assert room.recorder.pcm == pcm
    assert first.words + second.words == room.said == WORDS
    assert (second.got[-1][1], second.code, room.recorder.state) == (EXPORT_ID, 1000, "complete")


async def test_who_comes_back_gets_the_finals_it_missed(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS[:4], silence=2.0)
    room = Room(Mobile(*at_speech_speed(pcm)), script)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.run)
        await trio.sleep(10)
        second = Talker((0.5, "eof"))
        nursery.start_soon(room.session.resume, second, 0)
    assert second.words == room.said == WORDS[:4]


@pytest.mark.parametrize(("writing", "reading"), [(0.5, 1.0), (1.0, 0.5), (1.0, 0.0)])
@pytest.mark.parametrize("after", [0.2, 0.3, 0.7])
async def test_who_comes_back_while_the_export_is_written_gets_its_finals_and_the_id(
    autojump_clock: MockClock, writing: float, reading: float, after: float
) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS[:4])
    room = Room(Mobile(*at_speech_speed(pcm, "eof")), script, writing=writing, reading=reading)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.run)
        await trio.sleep(2.0 + after)
        second = Talker()
        resumable = room.session.resumable
        nursery.start_soon(room.session.resume, second, 0)
    if resumable:
        assert json.loads(second.got[0][1]) == {"resumed": EXPORT_ID, "bytes": len(pcm)}
        assert second.words == room.said == WORDS[:4]
        assert (second.got[-1][1], second.code) == (EXPORT_ID, 1000)
    else:
        assert (second.got, second.code) == ([], 1001)
    assert resumable == (after < 0.1 + writing)
    assert [message for _, message in second.messages if "error" in message] == []


async def test_a_stream_that_nobody_comes_back_to_is_finished_after_the_grace_time(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS[:4])
    room = Room(Mobile(*at_speech_speed(pcm)), script)
    await room.run()
    assert room.said == WORDS[:4]
    assert room.recorder.state == "complete"
    assert room.ended_at == pytest.approx(2.0 + LIMITS.resume, abs=0.2)


async def test_a_shutdown_does_not_wait_for_anybody_to_come_back(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS[:4])
    room = Room(Mobile(*at_speech_speed(pcm)), script)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.run)
        await trio.sleep(3)
        room.draining.set()
    assert room.said == WORDS[:4]
    assert room.ended_at < 3.5


async def test_a_shutdown_while_a_connection_breaks_off_does_not_wait_either(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS[:4])
    draining = trio.Event()
    room = Room(Struck(*at_speech_speed(pcm), draining=draining), script, draining=draining)
    await room.run()
    assert room.said == WORDS[:4]
    assert room.ended_at < 3


async def test_a_crowded_connection_that_breaks_off_does_not_hold_the_stream(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS[:4])
    room = Room(Crowding(*at_speech_speed(pcm), *NOISE, lasts=5.0), script)
    await room.run()
    assert room.said == WORDS[:4]
    assert room.recorder.state == "complete"
    assert room.ended_at == pytest.approx(5.0 + LIMITS.resume, abs=0.2)


async def test_who_comes_back_after_a_crowded_connection_gets_all_finals(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS[:4])
    room = Room(Crowding(*at_speech_speed(pcm), *NOISE, lasts=5.0), script)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.run)
        await trio.sleep(10)
        second = Talker((0.0, "eof"))
        nursery.start_soon(room.session.resume, second, 0)
    assert second.words == room.said == WORDS[:4]
    assert (second.got[-1][1], second.code) == (EXPORT_ID, 1000)


async def test_a_stream_whose_client_was_cut_off_is_not_gone_on_with(autojump_clock: MockClock) -> None:
    """Even while the last of its audio is being taken in."""
    del autojump_clock
    pcm, script = spoken(WORDS[:4])
    first = Talker((0.0, "no command"), (0.0, pcm), reads=False)
    room = Room(first, script, hearing=60.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.run)
        await trio.sleep(LIMITS.send_timeout + 1)
        assert first.aborted
        assert not room.session.resumable
        late = Talker()
        await room.session.resume(late, 0)
    assert (late.got, late.code) == ([], 1001)
    assert (room.said, room.recorder.state) == (WORDS[:4], "complete")


async def test_who_takes_the_place_of_a_connection_that_does_not_read_is_served(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS[:4])
    first = Talker((0.0, "no command"), (0.0, pcm), reads=False)
    room = Room(first, script, hearing=60.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.run)
        await trio.sleep(LIMITS.send_timeout - 1)
        second = Talker((0.0, "eof"))
        nursery.start_soon(room.session.resume, second, 0)
    assert json.loads(second.got[0][1]) == {"resumed": EXPORT_ID, "bytes": len(pcm)}
    assert second.words == room.said == WORDS[:4]
    assert (second.got[-1][1], second.code) == (EXPORT_ID, 1000)


async def test_a_client_in_lockstep_is_not_waited_for(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS[:4])
    room = Room(Mobile((0.0, '{"config": {"sample_rate": 16000}}'), *at_speech_speed(pcm)), script, dialect=Vosk)
    await room.run()
    assert room.said == WORDS[:4]
    assert room.ended_at < 3


async def test_the_newest_connection_wins(autojump_clock: MockClock) -> None:
    """A phone that changes networks is back before the server knows that it was gone."""
    del autojump_clock
    pcm, script = spoken(WORDS)
    cut = 24 * FRAME
    first = Talker(*at_speech_speed(pcm[:cut]))
    room = Room(first, script)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.run)
        await trio.sleep(2.5)
        between = Talker()
        nursery.start_soon(room.session.resume, between, 0)
        await trio.sleep(0.1)
        second = Talker(*at_speech_speed(pcm[cut:], "eof"))
        nursery.start_soon(room.session.resume, second, 0)
    assert (first.code, between.code, second.code) == (1001, 1001, 1000)
    assert room.recorder.pcm == pcm
    assert second.words == room.said == WORDS


async def test_a_peer_that_is_dead_is_noticed(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS[:4])
    room = Room(Mobile(*at_speech_speed(pcm), then="vanishes"), script)
    await room.run()
    assert room.said == WORDS[:4]
    assert room.ended_at == pytest.approx(2.0 + 2 * LIMITS.ping + LIMITS.resume, abs=0.2)


async def test_a_client_that_is_silent_but_there_is_kept_until_the_idle_time(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS[:4])
    talker = Talker(*at_speech_speed(pcm))
    room = Room(talker, script)
    await room.run()
    assert talker.words == room.said == WORDS[:4]
    assert [message["error"] for _, message in talker.messages if "error" in message] == ["idle_timeout"]
    assert (talker.got[-1][1], talker.code) == (EXPORT_ID, 1000)
    assert room.ended_at == pytest.approx(2.0 + LIMITS.idle, abs=0.2)


async def test_a_stream_is_finished_when_it_is_as_long_as_one_may_be(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS)
    talker = Talker(*at_speech_speed(pcm, "eof"))
    limits = StreamLimits(stall=2.0, send_timeout=10.0, stream=2.0)
    room = Room(talker, script, limits)
    await room.run()
    assert room.said == WORDS[:4]
    assert [message["error"] for _, message in talker.messages if "error" in message] == ["stream_limit"]
    assert (talker.got[-1][1], talker.code) == (EXPORT_ID, 1000)


async def test_a_stream_that_has_ended_is_not_gone_on_with(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS[:2])
    room = Room(Talker(*at_speech_speed(pcm, "eof")), script)
    await room.run()
    assert not room.session.resumable
    late = Talker()
    await room.session.resume(late, 0)
    assert late.code == 1001

"""Clients that vanish, and those that come back, to the exact time; and over a real socket that is reset."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
from trio.testing import MockClock  # noqa: TC002 - a fixture's type, looked at when the tests are collected

from engine.policy import Policy
from engine.scripted import ScriptedRecognizer
from engine.text import normalise
from server.errors import ProtocolError
from server.streams.dialects import Native, Vosk
from server.streams.resumption import Resumption, requested
from server.streams.services import Services, StreamLimits
from server.streams.session import Session
from server.transport.wire import DisconnectedError
from tests.conftest import Client, Outcome, running
from tests.speech import clips, errors
from tests.test_admission import refused
from tests.virtual_session import (
    EXPORT_ID,
    FRAME,
    WORDS,
    Loudness,
    MemoryRecorder,
    MemoryStore,
    Talker,
    VirtualPool,
    at_speech_speed,
    spoken,
)

if TYPE_CHECKING:
    from pathlib import Path

    from server.exports.store import Store
    from server.protocol import WireFinal

CLIPS = {clip.name: clip for clip in clips()}
LIMITS = StreamLimits(stall=2.0, send_timeout=10.0, idle=60.0, ping=5.0, resume=20.0)


class KeepingRecorder(MemoryRecorder):
    def __init__(self, writing: float = 0.0, hearing: float = 0.0) -> None:
        super().__init__()
        self.wire: list[WireFinal] = []
        self._writing = writing
        self._hearing = hearing

    async def audio(self, pcm: bytes) -> None:
        await trio.sleep(self._hearing)
        await super().audio(pcm)

    async def complete(self, *, language: str | None, state: str = "complete") -> None:
        await trio.sleep(self._writing)
        await super().complete(language=language, state=state)

    async def final(self, final: WireFinal) -> None:
        await super().final(final)
        self.wire.append(final)


@dataclass
class KeepingStore(MemoryStore):
    reading: float = 0.0

    async def finals(self, export_id: str) -> list[WireFinal]:
        assert export_id == EXPORT_ID
        await trio.sleep(self.reading)
        return list(cast("KeepingRecorder", self.recorder).wire)


class Mobile(Talker):
    """A client whose connection breaks off when it has sent its frames, or goes deaf and dumb without a sign."""

    def __init__(self, *frames: tuple[float, bytes | str], then: str = "breaks") -> None:
        super().__init__(*frames)
        self._then = then

    async def receive(self) -> bytes | str:
        if not self._frames and self._then == "breaks":
            raise DisconnectedError(clean=False)
        return await super().receive()

    async def ping(self) -> None:
        if not self._frames and self._then == "vanishes":
            await trio.sleep_forever()
        await super().ping()


class Crowding(Talker):
    """A client that reads nothing, and whose connection is reset after a while."""

    def __init__(self, *frames: tuple[float, bytes | str], lasts: float) -> None:
        super().__init__(*frames)
        self._lasts = lasts

    async def receive(self) -> bytes | str:
        if not self._frames:
            await self._break_off()
        return await super().receive()

    async def send(self, text: str) -> None:
        del text
        await self._break_off()

    async def ping(self) -> None:
        await self._break_off()

    async def _break_off(self) -> None:
        await trio.sleep_until(self._start + self._lasts)
        raise DisconnectedError(clean=False)


class Struck(Mobile):
    """A client whose connection takes a moment to be let go when it has broken off; that is when a shutdown begins."""

    def __init__(self, *frames: tuple[float, bytes | str], draining: trio.Event) -> None:
        super().__init__(*frames)
        self._draining = draining

    async def send(self, text: str) -> None:
        del text
        try:
            await trio.sleep_forever()
        finally:
            self._draining.set()
            with trio.CancelScope(shield=True):
                await trio.sleep(0.1)


class Room:
    """A session in which clients come and go."""

    def __init__(  # noqa: PLR0913
        self,
        first: Talker,
        script: Any,
        limits: StreamLimits = LIMITS,
        dialect: Any = Native,
        *,
        writing: float = 0.0,
        reading: float = 0.0,
        hearing: float = 0.0,
        draining: trio.Event | None = None,
    ) -> None:
        self.recorder = KeepingRecorder(writing, hearing)
        services = Services(
            store=cast("Store", KeepingStore(self.recorder, reading)),
            pool=VirtualPool(ScriptedRecognizer(script), seconds=0.1),
            detector=Loudness,
            policy=Policy(language="en"),
            languages=frozenset({"en"}),
            model="scripted",
            limits=limits,
        )
        self.draining = trio.Event() if draining is None else draining
        self.session = Session(first, EXPORT_ID, services, dialect, self.draining)
        self.ended_at = 0.0

    async def run(self) -> None:
        start = trio.current_time()
        with trio.fail_after(3600):
            await self.session.run()
        self.ended_at = round(trio.current_time() - start, 3)

    @property
    def said(self) -> list[str]:
        return " ".join(self.recorder.finals).split()


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
    frames: list[tuple[float, bytes | str]] = [*at_speech_speed(pcm), *[(2.0, "no command")] * 2_000]
    room = Room(Crowding(*frames, lasts=5.0), script)
    await room.run()
    assert room.said == WORDS[:4]
    assert room.recorder.state == "complete"
    assert room.ended_at == pytest.approx(5.0 + LIMITS.resume, abs=0.2)


async def test_who_comes_back_after_a_crowded_connection_gets_all_finals(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS[:4])
    frames: list[tuple[float, bytes | str]] = [*at_speech_speed(pcm), *[(2.0, "no command")] * 2_000]
    room = Room(Crowding(*frames, lasts=5.0), script)
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


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("", None),
        ("token=x", None),
        ("resume=abc", Resumption("abc")),
        ("resume=abc&finals=3", Resumption("abc", 3)),
        ("resume=", Resumption("")),
    ],
)
def test_what_a_query_asks_for(query: str, meant: Resumption | None) -> None:
    assert requested(query) == meant


@pytest.mark.parametrize("query", ["resume=a&finals=-1", "resume=a&finals=", "resume=a&finals=9e9", "&".join("a" * 99)])
def test_a_query_without_sense_is_refused(query: str) -> None:
    with pytest.raises(ProtocolError):
        requested(query)


async def test_over_a_real_socket_that_is_reset_nothing_is_lost(tmp_path: Path) -> None:
    clip = CLIPS["en-door"]
    async with running(tmp_path) as client:
        cut = len(clip.pcm) // 2 + 1  # in the middle of a sample
        export_id, got = await broken_off(client, clip.pcm[:cut])
        outcome = Outcome()
        with trio.fail_after(60):
            async with client.open(f"/?resume={export_id}&finals={len(got.finals)}") as ws:
                back = json.loads(await ws.get_message())
                assert back["resumed"] == export_id
                await ws.send_message(clip.pcm[back["bytes"] :])
                await ws.send_message("eof")
                await client.read(ws, outcome)
        assert outcome.export_id == export_id
        assert (await client.get(f"/export/audio/{export_id}"))[44:] == clip.pcm
        assert json.loads(await client.get(f"/export/transcript/{export_id}")) == [*got.finals, *outcome.finals]
        said = [normalise(word["word"]) for word in [*got.words, *outcome.words]]
        # The model mishears what is cut off in the middle of a word, now and then for good.
        assert errors(said, [normalise(word) for word, _, _ in clip.words]) <= 3


async def test_a_connection_that_is_replaced_is_told_so(client: Client) -> None:
    replaced, outcome = Outcome(), Outcome()
    with trio.fail_after(60):
        async with client.open() as first:
            export_id = dict(first.handshake_headers)[b"trioscribe-export-id"].decode()
            await first.send_message(bytes(3_200))
            async with client.open(f"/?resume={export_id}") as second:
                assert dict(second.handshake_headers)[b"trioscribe-export-id"].decode() == export_id
                await client.read(first, replaced)
                await second.send_message("eof")
                await client.read(second, outcome)
    assert (replaced.frames, replaced.code) == ([], 1001)
    assert (outcome.export_id, outcome.code) == (export_id, 1000)


async def broken_off(client: Client, pcm: bytes) -> tuple[str, Outcome]:
    """Send audio, wait for the first partial, and cut the connection without a close frame."""
    got = Outcome()
    async with client.open() as ws:
        export_id = dict(ws.handshake_headers)[b"trioscribe-export-id"].decode()
        await ws.send_message(pcm)
        got.frames.append(str(await ws.get_message()))
        await ws._stream.aclose()
    return export_id, got


@pytest.mark.parametrize("wrong", ["0" * 32, "", "../..", "live"])
async def test_a_guessed_id_gets_nowhere(client: Client, wrong: str) -> None:
    async with client.open():
        status, _, body = await refused(client, f"/?resume={wrong}")
        assert (status, body["error"]) == (404, "no_such_stream")

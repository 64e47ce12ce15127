"""Who is let in: never more than the host holds by what was measured, in turn, and told why not."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
import trio.testing
import trio_websocket
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock  # noqa: TC002 - a fixture's type, looked at when the tests are collected

from engine.scripted import ScriptedRecognizer
from server.admission import measurement
from server.admission.entrance import RECHECK_SECONDS, Entrance, Place
from server.admission.rules import (
    CADENCE,
    MARGIN_SECONDS,
    MEMORY,
    UTILISATION,
    WINDOW_SECONDS,
    Cost,
    Demand,
    Limits,
    Meter,
    Refusal,
    refusal,
    streams_held,
)
from server.cli import main
from server.inference.pool import InferencePool
from server.recognition import detectors
from tests.conftest import Client, Outcome, running
from tests.speech import clips
from tests.virtual_session import MANY, Talker, VirtualPool, at_speech_speed, serve, spoken

if TYPE_CHECKING:
    from pathlib import Path

SPEECH = {clip.name: clip.pcm for clip in clips()}
counts = st.integers(0, 50)
costs = st.builds(Cost, st.floats(0, 100), st.floats(0, 1))


@given(costs, st.integers(1, 64))
def test_streams_that_are_held_leave_a_part_of_the_slots_free(cost: Cost, slots: int) -> None:
    held = streams_held(cost, slots)
    assert held >= 1
    if held > 1:
        assert held * cost.window / CADENCE <= UTILISATION * slots
        assert held * cost.loop <= 1


@given(costs, costs, st.integers(1, 64))
def test_a_dearer_stream_never_means_more_streams(one: Cost, other: Cost, slots: int) -> None:
    dearer = Cost(max(one.window, other.window), max(one.loop, other.loop))
    assert streams_held(dearer, slots) <= min(streams_held(one, slots), streams_held(other, slots))


@given(counts, counts, counts, st.floats(0, 10), counts, counts)
def test_nobody_is_let_in_above_a_limit_and_nobody_kept_out_below_all(  # noqa: PLR0913, PLR0917
    streams: int, same: int, held: int, waited: float, most: int, per_address: int
) -> None:
    same = min(same, streams)
    reason = refusal(Demand(streams, same, held, waited), Limits(most, per_address))
    over = streams >= held or (most and streams >= most) or (per_address and same >= per_address)
    if over:
        assert reason is not None
        assert reason.retry_after > 0
    elif waited <= 2 or not streams:
        assert reason is None
    if not (most or per_address):
        assert refusal(Demand(streams, same, held, waited), Limits(load=False)) is None


@given(costs, st.lists(st.tuples(st.floats(0, 60), st.floats(0.1, 30)), max_size=MEMORY - 1))
def test_a_few_inferences_can_only_take_places_away(cost: Cost, seen: list[tuple[float, float]]) -> None:
    meter = Meter()
    meter.calibrate(cost)
    for seconds, length in seen:
        meter.note(seconds, length)
    assert meter.cost is not None
    assert meter.cost.window >= cost.window
    assert streams_held(meter.cost, 4) <= streams_held(cost, 4)


def under_load(meter: Meter, inferences: int, window: float) -> int:
    """Streams held on two slots after inferences that cost that much for a window of the usual length."""
    for number in range(inferences):
        length = 1.0 + number % 5
        meter.note(window * (length + MARGIN_SECONDS) / (WINDOW_SECONDS + MARGIN_SECONDS), length)
    return streams_held(meter.cost, 2)


def test_a_host_that_turns_slow_holds_fewer_and_recovers() -> None:
    meter = Meter()
    meter.calibrate(Cost(0.1))
    before = streams_held(meter.cost, 2)
    assert under_load(meter, 3 * MEMORY, 0.4) <= before // 3
    assert under_load(meter, 10 * MEMORY, 0.099) >= before


def test_a_host_that_was_measured_at_a_bad_moment_is_judged_by_what_it_does() -> None:
    meter = Meter()
    meter.calibrate(Cost(1.0))
    assert streams_held(meter.cost, 2) == 1
    assert under_load(meter, 3 * MEMORY, 0.1) == streams_held(Cost(0.1), 2)


def entrance(*, streams: int = 0, per_address: int = 0, queue: int = 0, slots: int = 4) -> Entrance:
    pool = InferencePool([ScriptedRecognizer([])] * slots, cores=slots)
    return Entrance(pool, Limits(streams, per_address), queue, lambda: True)


async def test_the_line_is_served_in_order_and_each_is_told_its_place(autojump_clock: MockClock) -> None:
    del autojump_clock
    door = entrance(streams=1, queue=2)
    inside = door.arrive("a")
    assert isinstance(inside, Place)
    told: dict[str, list[int]] = {"first": [], "second": []}

    async def wait(name: str, place: Place) -> None:
        async def tell(position: int) -> None:
            await trio.lowlevel.checkpoint()
            told[name].append(position)

        await place.turn(tell)
        await trio.sleep(5)
        place.leave()

    async with trio.open_nursery() as nursery:
        for name in told:
            place = door.arrive(name)
            assert isinstance(place, Place)
            nursery.start_soon(wait, name, place)
        turned_away = door.arrive("third")
        assert isinstance(turned_away, Refusal)
        await trio.sleep(3 * RECHECK_SECONDS)
        inside.leave()
    assert told == {"first": [1, 0], "second": [2, 1, 0]}
    assert door.statistics().streams == 0


async def test_who_is_let_in_while_all_wait_waits_too(autojump_clock: MockClock) -> None:
    del autojump_clock
    door = entrance(streams=2, queue=5)
    places = [door.arrive(str(number)) for number in range(4)]
    assert [isinstance(place, Place) and place.admitted.is_set() for place in places] == [True, True, False, False]
    for place in places:
        assert isinstance(place, Place)
    places[2].leave()  # type: ignore[union-attr]
    places[0].leave()  # type: ignore[union-attr]
    assert places[3].admitted.is_set()  # type: ignore[union-attr]


async def test_a_closed_entrance_lets_nobody_in(autojump_clock: MockClock) -> None:
    del autojump_clock
    door = entrance(streams=1, queue=1)
    inside, waiting = door.arrive("a"), door.arrive("b")
    assert isinstance(inside, Place)
    assert isinstance(waiting, Place)
    door.close()
    inside.leave()
    assert not waiting.admitted.is_set()
    late = door.arrive("c")
    assert isinstance(late, Refusal)
    assert late.code == "shutting_down"
    assert not door.empty
    waiting.leave()
    assert door.empty


async def test_a_full_host_holds_what_it_has_to_the_cadence(autojump_clock: MockClock) -> None:
    """As many streams as the cost allows: none of them gets its words later than a window and the cadence."""
    del autojump_clock
    pcm, script = spoken(MANY)
    cost = 0.25
    pool = VirtualPool(ScriptedRecognizer(script), cost, slots=2)
    talkers = [Talker(*at_speech_speed(pcm, "eof")) for _ in range(streams_held(Cost(cost), 2))]
    assert len(talkers) == 7
    async with trio.open_nursery() as nursery:
        for talker in talkers:
            nursery.start_soon(serve, talker, pool)
    for talker in talkers:
        assert talker.words == MANY
        shown = [at for at, _ in talker.partials]
        gaps = [later - earlier for earlier, later in pairwise(shown)]
        # Agreement takes two windows: a word is shown when a second one has heard it.
        assert max(gaps) <= 2 * CADENCE + cost


async def refused(client: Client, path: str = "/") -> tuple[int, dict[str, str], dict[str, Any]]:
    with pytest.RaisesGroup(trio_websocket.ConnectionRejected, flatten_subgroups=True, allow_unwrapped=True) as caught:
        async with client.open(path):
            pass
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, trio_websocket.ConnectionRejected)
    headers = {name.decode().lower(): value.decode() for name, value in error.headers}
    return error.status_code, headers, json.loads(error.body or b"{}")


async def test_a_full_server_answers_the_handshake_with_503_and_a_reason(tmp_path: Path) -> None:
    async with running(tmp_path, max_streams=1) as client:
        async with client.open() as ws:
            status, headers, body = await refused(client)
            assert status == 503
            assert int(headers["retry-after"]) == body["retry_after"] > 0
            assert body["error"] == "max_streams"
            assert json.loads((await client.request("/ready"))[1])["ready"] is False
            await ws.send_message(SPEECH["en-coffee"])
            await ws.send_message("eof")
            outcome = Outcome()
            await client.read(ws, outcome)
            assert outcome.words[-1]["word"] == "tea?"
        await client.all_streams_ended()
        assert (await client.talk(SPEECH["en-coffee"], "eof")).words[-1]["word"] == "tea?"


async def test_streams_of_one_address_are_limited_by_setting(tmp_path: Path) -> None:
    async with running(tmp_path, max_streams_per_address=1) as client:
        async with client.open():
            status, _, body = await refused(client)
            assert (status, body["error"]) == (503, "too_many_from_address")


async def test_in_line_a_client_is_told_its_place_and_loses_no_audio(tmp_path: Path) -> None:
    async with running(tmp_path, max_streams=1, queue=1) as client:
        async with client.open() as first, client.open() as second:
            assert json.loads(await second.get_message()) == {"queued": 1}
            assert (await refused(client))[0] == 503
            await second.send_message(SPEECH["en-coffee"])
            await second.send_message("eof")
            await first.send_message("eof")
            outcome = Outcome()
            await client.read(second, outcome)
            assert json.loads(outcome.frames[0]) == {"queued": 0}
            assert outcome.words[-1]["word"] == "tea?"
            assert outcome.code == 1000


async def test_who_goes_while_in_line_leaves_it_to_those_behind(tmp_path: Path) -> None:
    async with running(tmp_path, max_streams=1, queue=2) as client:
        async with client.open():
            async with client.open() as second:
                assert json.loads(await second.get_message()) == {"queued": 1}
                async with client.open() as third:
                    assert json.loads(await third.get_message()) == {"queued": 2}
                    await second._stream.aclose()  # without a goodbye
                    with trio.fail_after(60):
                        assert json.loads(await third.get_message()) == {"queued": 1}


async def test_at_shutdown_who_is_in_line_is_told_so_and_nobody_is_let_in(tmp_path: Path) -> None:
    async with running(tmp_path, max_streams=1, queue=2) as client:
        outcomes = [Outcome(), Outcome(), Outcome()]
        async with client.open() as first, client.open() as second, client.open() as third:
            sockets = (first, second, third)
            assert json.loads(await second.get_message()) == {"queued": 1}
            for socket in sockets:
                await socket.send_message(SPEECH["en-coffee"])
            outcomes[0].frames.append(str(await first.get_message()))
            client.app.drain()
            with trio.fail_after(60):
                async with trio.open_nursery() as nursery:
                    for socket, outcome in zip(sockets, outcomes, strict=True):
                        nursery.start_soon(client.read, socket, outcome)
        assert outcomes[0].words[-1]["word"] == "tea?"
        assert outcomes[0].code == 1000
        for outcome in outcomes[1:]:
            assert outcome.errors == ["shutting_down"]
            assert outcome.code == 1013
        assert [export.name for export in (tmp_path / "exports").glob("[!.]*")] == [outcomes[0].export_id]


def test_the_doctor_says_how_many_streams_this_host_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--data-dir", str(tmp_path / "new"), "--max-streams", "3"]) == 0
    said = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert int(said["streams"].split()[1].strip(",")) >= 1
    assert "max_streams is set to 3" in said["but"]
    assert "trioscribe-en-de" in said["model"]
    assert len(said["whisper.cpp"].split()) > 1  # what it was built for
    assert (tmp_path / "new" / "capacity.json").exists()
    assert main(["doctor", "--data-dir", "/proc/nowhere"]) == 1
    assert "cannot be written" in capsys.readouterr().err


async def measured(data_dir: Path) -> dict[str, Any]:
    """What a server's first measurement, made in the background, brought."""
    with trio.fail_after(60):
        while not (data_dir / "capacity.json").exists():
            await trio.sleep(0.05)
    (kept,) = json.loads((data_dir / "capacity.json").read_text())
    return cast("dict[str, Any]", kept)


async def test_the_host_is_measured_and_the_result_kept(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        kept = await measured(tmp_path)
        assert 0 < kept["window"] < 60
        assert kept["host"]["model"] == "trioscribe-en-de"
        del client
    (tmp_path / "capacity.json").write_text(json.dumps([kept | {"window": 1_000.0}]))
    async with running(tmp_path) as client:
        assert client.app.snapshot().entrance.held == 1  # by what was kept, until it has been measured anew
    (tmp_path / "capacity.json").write_text('[{"window": -1}]')  # what makes no sense is measured anew
    async with running(tmp_path), trio.open_nursery():
        with trio.fail_after(60):
            while len((tmp_path / "capacity.json").read_text()) < 30:
                await trio.sleep(0.05)


async def test_a_host_that_was_measured_at_a_bad_moment_is_measured_again_when_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurement, "DOUBT_SECONDS", 0.01)
    async with running(tmp_path, slots=2) as client:
        kept = await measured(tmp_path)
        (tmp_path / "capacity.json").write_text(json.dumps([kept | {"window": 4.8}]))
        await client.app.recall()
        assert client.app.snapshot().entrance.held == 1
        async with client.open():
            with trio.fail_after(60):
                while not client.app.readiness().ready:
                    await trio.sleep(0.01)
            assert (await client.talk(SPEECH["en-coffee"], "eof")).words[-1]["word"] == "tea?"


async def test_to_be_measured_again_at_a_bad_moment_takes_no_places_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurement, "DOUBT_SECONDS", 0.01)
    host = measurement.Host(processor="", cores=1, slots=1, model="scripted", model_bytes=1, audio_ctx_floor=0)
    pool = InferencePool([ScriptedRecognizer([])], cores=1)
    bench = measurement.Bench(pool, detectors(), host, tmp_path)
    known = measurement.Measurement(host, window=0.0, loop=0.0)  # as good as none can be
    await bench.keep(known)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.keep_up, lambda: True)
            while pool.statistics().inferences < 1 + measurement.ROUNDS:
                await trio.sleep(0.01)
            await trio.testing.wait_all_tasks_blocked(0.1)
            nursery.cancel_scope.cancel()
    assert pool.meter.cost == known.cost
    assert measurement.measurements(tmp_path) == [known]

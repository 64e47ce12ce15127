"""Who comes in and what they see: a real server with keys, as holders and strangers meet it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest
import trio

from server.access import keys
from server.monitoring import logs
from tests.access.hall import Hall, bearer
from tests.conftest import PATIENCE
from tests.speech import clips
from tests.visitors import RefusedHandshake, stream_command

if TYPE_CHECKING:
    from pathlib import Path

SPEECH = {clip.name: clip.pcm for clip in clips()}
SILENCE = bytes(3200)


async def test_a_key_opens_in_every_form_that_clients_have(hall: Hall) -> None:
    visitor, key = hall.visitor, hall.hall
    outcomes = [
        await visitor.talk("eof", headers=bearer(key)),
        await visitor.talk("eof", headers={"Authorization": key}),
        await visitor.talk("eof", path=f"/?token={key}"),
        await visitor.talk(json.dumps({"Authorization": key}), "eof"),
        await visitor.talk(json.dumps({"Authorization": f"Bearer {key}"}), "eof"),
        await visitor.talk(json.dumps({"Authorization": key}), '{"eof": 1}', path="/vosk"),
        # Both: a client that sends its key to be sure once more.
        await visitor.talk(json.dumps({"Authorization": key}), "eof", headers=bearer(key)),
    ]
    assert [outcome.code for outcome in outcomes] == [1000] * len(outcomes)
    assert not any(outcome.errors for outcome in outcomes)
    status, _, body = await visitor.ask(f"/exports?token={key}")
    assert status == 200
    assert {export["owner"] for export in json.loads(body)["exports"]} == {"hall"}
    assert len(json.loads(body)["exports"]) == len(outcomes)


async def test_the_frame_with_the_key_can_configure_the_stream_too(hall: Hall) -> None:
    frame = {"Authorization": hall.hall, "config": {"sample_rate": 8000}}
    outcome = await hall.visitor.talk(json.dumps(frame), bytes(16_000), "eof")
    _, _, body = await hall.visitor.ask(f"/exports/{outcome.export_id}", bearer(hall.hall))
    assert (json.loads(body)["sample_rate"], json.loads(body)["duration"]) == (8000, 1.0)


async def test_without_a_key_there_is_no_stream_and_nothing_is_stored(hall: Hall) -> None:
    visitor = hall.visitor
    for path, headers in (
        ("/", bearer("ts_wrong")),
        ("/", {"Authorization": "\xff\xfe"}),
        ("/?token=wrong", {}),
        ("/vosk?token=%00", {}),
        ("/?token=" + "x" * 8000, {}),
    ):
        with pytest.raises(RefusedHandshake) as caught:
            await visitor.talk("eof", path=path, headers=headers)
        assert caught.value.status == 401
        assert caught.value.headers["www-authenticate"] == "Bearer"
        assert caught.value.body["error"] == "unauthorized"
    for frame in (
        "eof",
        SILENCE,
        "{",
        '{"Authorization": 5}',
        '{"Authorization": ""}',
        '{"Authorization": "ts_wrong"}',
    ):
        outcome = await visitor.talk(frame)
        assert (outcome.errors, outcome.code) == (["unauthorized"], 1008)
    for holder in (hall.hall, hall.stage):
        _, _, body = await visitor.ask("/exports", bearer(holder))
        assert json.loads(body)["exports"] == []
    _, _, body = await visitor.ask("/metrics", bearer(hall.hall))
    assert 'trioscribe_refused_total{reason="unauthorized"} 11.0' in body.decode()


async def test_rest_needs_a_key_except_for_what_tells_nothing(hall: Hall) -> None:
    for path in ("/exports", "/exports/" + "0" * 32, "/export/audio/x", "/metrics", "/nothing", "/"):
        for headers in ({}, bearer("ts_wrong"), {"Authorization": "Basic dXNlcjpwYXNz"}):
            status, answer, body = await hall.visitor.ask(path, headers)
            assert (status, json.loads(body)["error"]) == (401, "unauthorized")
            assert answer["WWW-Authenticate"] == "Bearer"
    for path in ("/health", "/ready", "/docs", "/openapi.json"):
        assert (await hall.visitor.ask(path))[0] == 200


async def test_each_holder_sees_its_own_exports_and_no_sign_of_others(hall: Hall) -> None:
    visitor = hall.visitor
    mine = await visitor.talk(SPEECH["en-coffee"], "eof", headers=bearer(hall.hall))
    theirs = await visitor.talk("eof", headers=bearer(hall.stage))
    missing = "0" * 32

    status, _, body = await visitor.ask(f"/export/transcript/{mine.export_id}", bearer(hall.hall))
    assert (status, json.loads(body)) == (200, mine.finals)
    for holder, own in ((hall.hall, mine), (hall.stage, theirs)):
        _, _, body = await visitor.ask("/exports?limit=1", bearer(holder))
        page = json.loads(body)
        assert ([each["id"] for each in page["exports"]], page["next"]) == ([own.export_id], None)

    for method, path in (
        ("GET", "/export/transcript/{}"),
        ("GET", "/export/transcript/{}?format=srt"),
        ("GET", "/export/audio/{}"),
        ("HEAD", "/export/audio/{}"),
        ("GET", "/exports/{}"),
        ("DELETE", "/exports/{}"),
    ):
        foreign = await visitor.ask(path.format(mine.export_id), bearer(hall.stage), method)
        unknown = await visitor.ask(path.format(missing), bearer(hall.stage), method)
        assert foreign[0] == unknown[0] == 404
        assert foreign[2] == unknown[2]
        assert [name for name in foreign[1] if name.lower() != "date"] == [
            name for name in unknown[1] if name.lower() != "date"
        ]
    assert (await visitor.ask(f"/exports/{mine.export_id}", bearer(hall.hall), "DELETE"))[0] == 204


async def test_a_live_stream_of_another_looks_like_none_too(hall: Hall) -> None:
    visitor = hall.visitor
    async with visitor.stream("/", bearer(hall.hall)) as ws:
        await ws.send_message(SILENCE)
        export_id = dict(ws.handshake_headers)[b"trioscribe-export-id"].decode()
        with trio.fail_after(PATIENCE):
            while (await visitor.ask(f"/exports/{export_id}", bearer(hall.hall)))[0] == 404:
                await trio.sleep(0.02)
        assert (await visitor.ask(f"/export/audio/{export_id}", bearer(hall.hall)))[0] == 409
        assert (await visitor.ask(f"/export/audio/{export_id}", bearer(hall.stage)))[0] == 404
        assert (await visitor.ask(f"/exports/{export_id}", bearer(hall.stage), "DELETE"))[0] == 404


async def test_who_comes_back_with_its_key_in_the_first_frame_is_told_its_own_id(hall: Hall) -> None:
    visitor, key = hall.visitor, json.dumps({"Authorization": hall.hall})
    async with visitor.stream("/", bearer(hall.hall)) as ws:
        await ws.send_message(SILENCE)
        export_id = dict(ws.handshake_headers)[b"trioscribe-export-id"].decode()
        foreign = await visitor.talk(json.dumps({"Authorization": hall.stage}), path=f"/?resume={export_id}")
        assert (foreign.errors, foreign.code) == (["no_such_stream"], 1008)
        async with visitor.stream(f"/?resume={export_id}") as back:
            assert dict(back.handshake_headers)[b"trioscribe-export-id"].decode() == export_id
            await back.send_message(key)
            with trio.fail_after(PATIENCE):
                assert json.loads(await back.get_message())["resumed"] == export_id
            await back.send_message("eof")
            with trio.fail_after(PATIENCE):
                assert await back.get_message() == export_id


async def test_whether_there_is_a_stream_is_told_to_its_holder_alone(hall: Hall) -> None:
    visitor = hall.visitor
    async with visitor.stream("/", bearer(hall.hall)) as ws:
        await ws.send_message(SILENCE)
        live = dict(ws.handshake_headers)[b"trioscribe-export-id"].decode()
        for export_id in (live, "0" * 32):
            path = f"/?resume={export_id}"
            async with visitor.stream(path) as asking:
                assert dict(asking.handshake_headers)[b"trioscribe-export-id"].decode() == export_id
            stranger = await visitor.talk("eof", path=path)
            assert (stranger.errors, stranger.code) == (["unauthorized"], 1008)
            other = await visitor.talk(json.dumps({"Authorization": hall.stage}), path=path)
            assert (other.errors, other.code) == (["no_such_stream"], 1008)
            with pytest.raises(RefusedHandshake) as refused:
                await visitor.talk("eof", path=path, headers=bearer(hall.stage))
            assert (refused.value.status, refused.value.body["error"]) == (404, "no_such_stream")
    for wrong in ("", "0" * 33, "F" * 32, "%0d%0aX:%20y", "../.."):
        with pytest.raises(RefusedHandshake) as refused:
            await visitor.talk("eof", path=f"/?resume={wrong}")
        assert (refused.value.status, refused.value.body["error"]) == (404, "no_such_stream")


async def test_keys_come_and_go_while_the_server_runs(hall: Hall) -> None:
    visitor = hall.visitor
    async with visitor.stream("/", bearer(hall.hall)) as ws:
        await ws.send_message(SILENCE)
        keys.revoke(hall.file, "hall")
        new, _ = keys.add(hall.file, "balcony")
        with trio.fail_after(PATIENCE):
            while (await visitor.ask("/exports", bearer(hall.hall)))[0] == 200:
                await trio.sleep(0.05)
            while (await visitor.ask("/exports", bearer(new)))[0] == 401:
                await trio.sleep(0.05)
        with pytest.raises(RefusedHandshake):
            await visitor.talk("eof", headers=bearer(hall.hall))
        assert (await visitor.talk("eof", headers=bearer(new))).code == 1000
        await ws.send_message("eof")  # what was open goes on to its end
        assert len(await ws.get_message()) == 32


async def test_keys_are_not_logged_whatever_the_level(hall: Hall, capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(logs.Text().format(record) + logs.Json().format(record))

    ours = [logging.getLogger(name) for name in logs.OURS]
    listener = Listener()
    for logger in ours:
        logger.addHandler(listener)
        logger.setLevel(logging.DEBUG)
    try:
        await hall.visitor.talk("eof", headers=bearer(hall.hall))
        await hall.visitor.talk("eof", path=f"/?token={hall.hall}")
        await hall.visitor.talk(json.dumps({"Authorization": hall.hall}), "eof")
        with pytest.raises(RefusedHandshake):
            await hall.visitor.talk("eof", path=f"/elsewhere?token={hall.hall}")
        await hall.visitor.talk(f'{{"Authorization": "{hall.hall}"')
        for path in (
            f"/exports?token={hall.hall}",
            f"/nothing?token={hall.hall}",
            f"/exports?limit=x&token={hall.hall}",
        ):
            await hall.visitor.ask(path)
    finally:
        for logger in ours:
            logger.removeHandler(listener)
            logger.setLevel(logging.NOTSET)
    assert any("A stream begins" in line and "key=hall" in line and "stream=" in line for line in heard)
    said = "".join(heard) + "".join(capsys.readouterr())
    assert hall.hall not in said
    assert keys.digest(hall.hall) not in said


async def test_the_programs_own_client_shows_its_key_on_both_ports(hall: Hall, tmp_path: Path) -> None:
    app, saved = hall.visitor.app, tmp_path / "talk.txt"
    where = ["--url", f"ws://127.0.0.1:{app.port}/", "--rest-url", f"http://127.0.0.1:{app.rest_port}"]
    done = await stream_command(*where, "--save", str(saved), "--key", hall.hall)
    assert done.returncode == 0, done.stderr
    assert "tea?" in saved.read_text()
    told = await stream_command(*where)
    assert told.returncode == 1
    assert b"needs an API key" in told.stderr

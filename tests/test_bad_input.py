"""What clients get wrong: each has a clear answer, and nobody else notices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import trio
import trio_websocket

from engine.errors import ModelError
from models.ggml import check
from models.library import find
from server.app import serve
from server.errors import StartupError
from server.settings.table import Settings
from tests.conftest import Outcome, running
from tests.speech import clips

if TYPE_CHECKING:
    from tests.conftest import Client

SECOND = b"\0\0" * 16_000
SPEECH = {clip.name: clip.pcm for clip in clips()}


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("hello", "unknown_command"),
        ("", "unknown_command"),
        ("{", "bad_json"),
        ("[1]", "unknown_command"),
        ('{"x": 1}', "unknown_command"),
        ('{"config": 3}', "bad_config"),
        ('{"config": {"sample_rate": 7999}}', "bad_config"),
        ('{"config": {"sample_rate": "fast"}}', "bad_config"),
        ('{"config": {"sample_rate": true}}', "bad_config"),
        ('{"config": {"language": "klingon"}}', "bad_config"),
        ('{"config": {"language": "xx"}}', "bad_config"),
        ('{"config": {"task": "sing"}}', "bad_config"),
        ('{"config": {"partials": 1}}', "bad_config"),
        ('{"Authorization": 5}', "bad_authorization"),
        ("x" * 70_000, "too_long"),
        ('{"a":' * 50_000, "too_long"),
        ('{"a":' * 10_000, "bad_json"),
    ],
)
async def test_a_frame_that_makes_no_sense_is_answered_and_the_stream_goes_on(
    client: Client, frame: str, code: str
) -> None:
    outcome = await client.talk(frame, SPEECH["en-coffee"], "eof")
    assert outcome.errors == [code]
    assert outcome.words[-1]["word"] == "tea?"
    assert outcome.code == 1000


async def test_configuration_after_audio_is_refused(client: Client) -> None:
    outcome = await client.talk(SECOND, '{"config": {"sample_rate": 8000}}', "eof")
    assert outcome.errors == ["too_late"]


async def test_eof_first_gives_an_empty_export(client: Client) -> None:
    outcome = await client.talk("eof")
    assert outcome.frames == [outcome.export_id]
    assert json.loads(await client.get(f"/export/transcript/{outcome.export_id}")) == []


async def test_a_connection_without_audio_leaves_no_export(client: Client) -> None:
    async with client.open() as ws:
        await ws.send_message('{"config": {"language": "de"}}')
    await client.all_streams_ended()
    assert json.loads(await client.get("/exports"))["exports"] == []


async def test_half_a_sample_at_the_end_is_left_out(client: Client) -> None:
    outcome = await client.talk(SECOND, b"\1", "eof")
    assert len(await client.get(f"/export/audio/{outcome.export_id}")) == 44 + len(SECOND)


async def test_a_message_of_ten_megabytes_is_taken(client: Client) -> None:
    outcome = await client.talk(bytes(10_000_000), "eof")
    assert outcome.frames == [outcome.export_id]
    assert len(await client.get(f"/export/audio/{outcome.export_id}")) == 44 + 10_000_000


async def test_a_message_over_the_limit_ends_its_stream_and_keeps_what_was_said(tmp_path: Path) -> None:
    async with running(tmp_path, max_message_mb=1) as client:
        outcome = await client.talk(SPEECH["en-coffee"], bytes(2_000_000))
        assert outcome.code == 1009
        await client.all_streams_ended()
        (export,) = json.loads(await client.get("/exports"))["exports"]
        finals = json.loads(await client.get(f"/export/transcript/{export['id']}"))
        assert finals[-1]["result"][-1]["word"] == "tea?"


async def test_silence_noise_and_hum_give_no_words(client: Client) -> None:
    rng = np.random.default_rng(1)
    t = np.arange(10 * 16_000) / 16_000
    hum = sum(np.sin(2 * np.pi * 50 * k * t) / k for k in range(1, 6)) * 0.1
    melody = np.concatenate([np.sin(2 * np.pi * f * t[:4_000]) * np.exp(-4 * t[:4_000]) for f in (262, 330, 392, 523)])
    for sound in (np.zeros_like(t), rng.standard_normal(len(t)) * 0.03, hum, np.tile(melody, 10) * 0.3):
        pcm = (np.clip(sound, -1, 1) * 32_767).astype(np.int16).tobytes()
        outcome = await client.talk(pcm, "eof")
        assert outcome.frames == [outcome.export_id]


async def test_strangers_do_not_disturb_a_stream(client: Client) -> None:
    async with client.open() as ws:
        await ws.send_message(SPEECH["de-beispiel"])
        for garbage in (b"\x16\x03\x01 no tls here", b"GET / HTTP/1.1\r\n\r\n", b"GET /", b""):
            stranger = await trio.open_tcp_stream("127.0.0.1", client.app.port)
            await stranger.send_all(garbage)
            await stranger.aclose()
        with pytest.RaisesGroup(trio_websocket.ConnectionRejected, flatten_subgroups=True, allow_unwrapped=True):
            await client.talk(path="/nowhere")
        await ws.send_message("eof")
        outcome = Outcome()
        await client.read(ws, outcome)
        assert outcome.export_id


@pytest.mark.parametrize(
    "path", ["/export/transcript/..%2F..", "/exports/xyz", "/export/audio/" + "A" * 32, "/nothing"]
)
async def test_what_does_not_exist_is_not_found_in_json(client: Client, path: str) -> None:
    status, body = await client.request(path)
    assert status == 404
    assert set(json.loads(body)) >= {"error", "message"}


async def test_a_port_in_use_is_named(client: Client, tmp_path: Path) -> None:
    settings = Settings(port=client.app.port, rest_port=0, data_dir=tmp_path / "other")
    with pytest.raises(StartupError, match=str(client.app.port)):
        await serve(settings)


async def test_a_data_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StartupError, match="file"):
        await serve(Settings(port=0, rest_port=0, data_dir=tmp_path / "file"))


@pytest.mark.parametrize("keep", [0, 3, 100, 600_000, -5])
def test_a_damaged_model_file_is_refused_with_a_reason(tmp_path: Path, keep: int) -> None:
    sound = find("trioscribe-en-de").path.read_bytes()
    path = tmp_path / "model.bin"
    path.write_bytes(sound[:keep])
    with pytest.raises(ModelError, match="not a whole"):
        check(path)


def test_a_missing_or_foreign_model_is_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model"):
        find("tiny-typo")
    path = tmp_path / "model.bin"
    path.write_bytes(b"GGUF" + bytes(1000))
    with pytest.raises(ModelError, match="converted"):
        find(str(path))

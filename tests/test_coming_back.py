"""What a query asks for, and clients that come back over real sockets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio

from engine.text import normalise
from server.errors import ProtocolError
from server.streams.resumption import Resumption, requested
from tests.conftest import Client, Outcome, running
from tests.speech import clips, errors
from tests.test_admission import refused

if TYPE_CHECKING:
    from pathlib import Path


CLIPS = {clip.name: clip for clip in clips()}


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

"""Vosk's own clients: one reply to every frame, or they block for ever."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soxr
import trio
import trio_websocket

from engine.text import normalise
from tests.speech import clips

if TYPE_CHECKING:
    from tests.conftest import Client

BY_NAME = {clip.name: clip for clip in clips()}
COFFEE = [normalise(word) for word, _, _ in BY_NAME["en-coffee"].words]


async def lockstep(client: Client, pcm: bytes, *, first: str | None, frame: int) -> list[dict[str, Any]]:
    """As vosk-server's test.py does: send a frame, wait for its reply; at the end eof, a reply, the close."""
    replies: list[dict[str, Any]] = []
    with trio.fail_after(120):
        async with client.open("/vosk") as ws:
            if first is not None:
                await ws.send_message(first)
            for i in range(0, len(pcm), frame):
                await ws.send_message(pcm[i : i + frame])
                replies.append(json.loads(await ws.get_message()))
            await ws.send_message('{"eof" : 1}')
            replies.append(json.loads(await ws.get_message()))
            with pytest.raises(trio_websocket.ConnectionClosed) as closed:
                await ws.get_message()
    assert closed.value.reason is not None
    assert closed.value.reason.code == 1000
    return replies


def said(replies: list[dict[str, Any]]) -> list[str]:
    return [normalise(word["word"]) for reply in replies for word in reply.get("result", [])]


async def test_each_frame_has_one_reply_and_eof_one_final(client: Client) -> None:
    replies = await lockstep(
        client, BY_NAME["en-coffee"].pcm, first='{ "config" : { "sample_rate" : 16000.0 } }', frame=8_000
    )
    assert said(replies) == COFFEE
    assert "text" in replies[-1]
    for reply in replies:
        assert ("partial" in reply) != ("text" in reply)
        for word in reply.get("result", []):
            assert list(word) == ["conf", "end", "start", "word"]
    assert replies[0] == {"partial": ""}


async def test_without_a_config_the_rate_is_8000(client: Client) -> None:
    pcm = soxr.resample(np.frombuffer(BY_NAME["en-coffee"].pcm, np.int16), 16_000, 8_000).tobytes()
    # The telephone band costs a word or two; at a wrong rate none would be right.
    right = sum(word in COFFEE for word in said(await lockstep(client, pcm, first=None, frame=4_000)))
    assert right >= len(COFFEE) - 2


async def test_silence_ends_with_an_empty_final(client: Client) -> None:
    replies = await lockstep(client, bytes(16_000), first=None, frame=4_000)
    assert replies == [{"partial": ""}] * 4 + [{"text": ""}]


async def test_a_reset_is_answered_with_a_final_and_the_stream_goes_on(client: Client) -> None:
    pcm = BY_NAME["en-coffee"].pcm
    with trio.fail_after(120):
        async with client.open("/vosk") as ws:
            await ws.send_message('{"config": {"sample_rate": 16000}}')
            await ws.send_message('{"reset": 1}')
            assert json.loads(await ws.get_message()) == {"text": ""}
            for _ in range(2):
                await ws.send_message(pcm)
                replies = [json.loads(await ws.get_message())]
                await ws.send_message('{"reset": 1}')
                replies.append(json.loads(await ws.get_message()))
                assert "text" in replies[-1]
                assert said(replies) == COFFEE


async def test_an_error_comes_with_the_next_reply(client: Client) -> None:
    with trio.fail_after(60):
        async with client.open("/vosk") as ws:
            await ws.send_message('{"config": {"sample_rate": 1}}')
            await ws.send_message(bytes(800))
            reply = json.loads(await ws.get_message())
            assert (reply["partial"], reply["error"]) == ("", "bad_config")
            await ws.send_message(bytes(800))
            assert json.loads(await ws.get_message()) == {"partial": ""}

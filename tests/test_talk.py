"""The command `trioscribe stream` over a network that breaks: the stream goes on, and nothing of it is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from server.client.listening import Order, listen
from server.client.talk import ANSWER_S, PING_S, watch
from server.client.tape import FRAME_BYTES, KEPT_BYTES, Tape
from server.errors import ClientError
from tests.relay import relayed
from tests.scripted_server import EXPORT_ID, Obliging, serving
from tests.speech import FOLDER, clips

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from trio.testing import MockClock
    from trio_websocket import WebSocketRequest

    from server.client.connection import Transcription
    from tests.conftest import Client

LETTER = next(clip for clip in clips() if clip.name == "en-letter")


async def test_a_stream_goes_on_over_new_connections_and_loses_nothing(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    half = len(LETTER.pcm) // 2
    capsys.readouterr()  # what the server said when it started
    async with relayed(client.app.port, half, half // 2) as network:
        await listen(
            Order(
                source=str(FOLDER / "en-letter.flac"),
                url=f"ws://127.0.0.1:{network.port}/",
                fast=True,
            )
        )
    assert network.connections == 3
    output = capsys.readouterr()
    assert f"Transcript: http://127.0.0.1:{client.app.rest_port}/" in output.err  # as the server told it
    assert output.err.count("The connection broke off") == 2
    export_id = next(line for line in output.err.splitlines() if line.startswith("Transcript:")).rpartition("/")[2]
    finals = json.loads(await client.get(f"/export/transcript/{export_id}"))
    assert output.out.splitlines() == [final["text"].strip() for final in finals]
    assert [word["word"] for final in finals for word in final["result"]] == [word for word, _, _ in LETTER.words]
    assert (await client.get(f"/export/audio/{export_id}"))[44:] == LETTER.pcm


async def test_a_stream_that_is_held_no_more_says_where_its_export_is(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []

    async def handle(request: WebSocketRequest) -> None:
        asked.append(request.path)
        if "resume" in request.path:
            await request.reject(404, body=b'{"error": "no_such_stream", "message": "There is no such stream."}')
        else:
            connection = await request.accept(extra_headers=[(b"Trioscribe-Export-Id", EXPORT_ID.encode())])
            await connection.get_message()
            await trio.sleep_forever()

    async with serving(handle) as url, relayed(int(url.split(":")[2][:-1]), 20_000) as network:
        with pytest.raises(ClientError, match="There is no such stream"):
            await listen(
                Order(
                    source=str(FOLDER / "en-letter.flac"),
                    url=f"ws://127.0.0.1:{network.port}/?token=k%26",
                    rest="http://x.example",
                    fast=True,
                )
            )
    assert asked == ["/?token=k%26", f"/?token=k%26&resume={EXPORT_ID}&finals=0"]
    assert f"will be at http://x.example/export/transcript/{EXPORT_ID}" in capsys.readouterr().err


async def test_without_an_id_a_break_is_the_end() -> None:
    async with serving(Obliging()) as url, relayed(int(url.split(":")[2][:-1]), 20_000) as network:
        with pytest.raises(ClientError, match="broke before the transcript was complete"):
            await listen(Order(source=str(FOLDER / "en-letter.flac"), url=f"ws://127.0.0.1:{network.port}/", fast=True))
    assert network.connections == 1


class Line:
    """The other side of a connection: it answers so many pings, and then no more."""

    def __init__(self, answers: int) -> None:
        self._answers = answers

    async def ping(self) -> None:
        self._answers -= 1
        if self._answers < 0:
            await trio.sleep_forever()
        await trio.sleep(ANSWER_S / 2)


async def test_a_line_that_went_dead_is_given_up(autojump_clock: MockClock) -> None:
    del autojump_clock
    began = trio.current_time()
    with trio.CancelScope() as conversation:
        await watch(cast("Transcription", Line(answers=3)), conversation)
        await trio.sleep_forever()
    assert conversation.cancelled_caught
    assert trio.current_time() - began == pytest.approx(4 * PING_S + 3 * ANSWER_S / 2 + ANSWER_S)


# The tape


class Source:
    """Gives out frames, and counts them."""

    def __init__(self, frames: Iterable[bytes]) -> None:
        self._frames = iter(frames)
        self.given = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for frame in self._frames:
            self.given += 1
            yield frame


async def fully_recorded(audio: bytes) -> Tape:
    tape = Tape(aiter(Source(audio[i : i + FRAME_BYTES] for i in range(0, len(audio), FRAME_BYTES))), live=True)
    await tape.record()
    return tape


@given(st.binary(max_size=4 * FRAME_BYTES + 2), st.lists(st.floats(0, 1), max_size=4))
def test_from_wherever_it_is_rewound_to_the_same_audio_follows(audio: bytes, places: list[float]) -> None:
    async def check() -> None:
        tape = await fully_recorded(audio)
        for place in [int(share * len(audio)) for share in places]:
            tape.rewind(place)
            assert b"".join([frame async for frame in tape]) == audio[place:]

    trio.run(check)


async def test_live_audio_is_recorded_while_nothing_can_be_sent() -> None:
    audio = bytes(range(250)) * 128
    assert b"".join([frame async for frame in await fully_recorded(audio)]) == audio


async def test_of_a_file_no_more_is_read_than_is_sent() -> None:
    source = Source([bytes(FRAME_BYTES)] * 10)
    tape = Tape(aiter(source), live=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tape.record)
        for sent in range(1, 11):
            await trio.testing.wait_all_tasks_blocked()
            assert source.given == sent
            assert len(await anext(tape)) == FRAME_BYTES
        with pytest.raises(StopAsyncIteration):
            await anext(tape)


async def test_what_was_sent_long_ago_is_let_go_and_cannot_be_had_again() -> None:
    frames = KEPT_BYTES // FRAME_BYTES + 2
    tape = Tape(aiter(Source([bytes(FRAME_BYTES)] * frames)), live=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tape.record)
        async for _ in tape:
            pass
    with pytest.raises(ClientError, match="not there any more"):
        tape.rewind(0)
    with pytest.raises(ClientError, match="not there any more"):
        tape.rewind(frames * FRAME_BYTES + 1)
    tape.rewind(frames * FRAME_BYTES)

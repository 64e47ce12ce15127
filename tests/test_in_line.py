"""In line for a stream: what the server does meanwhile, and what the command `trioscribe stream` does."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import soundfile
import trio

from server.client.listening import Order, listen
from server.errors import ClientError
from server.transport.unread import Unread
from tests.conftest import Outcome, running
from tests.hostile import frame
from tests.scripted_server import EXPORT_ID, Obliging, serving
from tests.speech import clips
from tests.test_limits import handshake
from tests.test_metrics import figures

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from trio_websocket import WebSocketConnection, WebSocketRequest

    from server.transport.wire import Wire

SPEECH = {clip.name: clip.pcm for clip in clips()}


async def test_in_line_a_client_that_speaks_gets_its_pings_answered(tmp_path: Path) -> None:
    pcm = SPEECH["en-coffee"]
    async with running(tmp_path, max_streams=1, queue=1) as client:
        async with client.open() as first, client.open() as second:
            for begin in range(0, len(pcm), 3_200):
                await second.send_message(pcm[begin : begin + 3_200])
            with trio.fail_after(60):
                await second.ping()
            await second.send_message("eof")
            await first.send_message("eof")
            outcome = Outcome()
            await client.read(second, outcome)
            assert outcome.words[-1]["word"] == "tea?"


async def test_who_reads_nothing_in_line_is_cut_off_when_its_turn_comes(tmp_path: Path) -> None:
    """Its pings have filled the way back with their answers."""
    async with running(tmp_path, max_streams=1, queue=1, send_timeout_s=1) as client:
        async with client.open() as first, trio.open_nursery() as nursery:
            deaf, _ = await handshake(client, receive_buffer=2_048)
            sent = 0

            async def ping_without_end() -> None:
                nonlocal sent
                try:
                    while True:
                        await deaf.send_all(frame(9, bytes(125)) * 500)
                        sent += 1
                except trio.BrokenResourceError:
                    pass  # cut off

            nursery.start_soon(ping_without_end)
            with trio.fail_after(60):
                before = -1
                while sent != before:
                    before = sent
                    await trio.sleep(1)  # the kernels' buffers fill up
                await first.send_message("eof")
                await client.all_streams_ended()
            nursery.cancel_scope.cancel()
        await deaf.aclose()
        assert (await client.talk("eof")).code == 1000
        assert figures((await client.get("/metrics")).decode())["trioscribe_faults_total{kind=slow_reader}"] == 1


class Chatty:
    """A client that sends without an end."""

    def __init__(self) -> None:
        self.sent = 0

    async def receive(self) -> bytes | str:
        await trio.lowlevel.checkpoint()
        self.sent += 1
        return str(self.sent) * 100


async def test_what_is_read_in_line_is_bounded_and_comes_in_order() -> None:
    chatty = Chatty()
    wire = Unread(cast("Wire", chatty), "0")
    await wire.read_ahead(100_000)
    ahead = chatty.sent
    assert 100 < ahead < 1_000
    assert [await wire.receive() for _ in range(ahead + 2)] == ["0", *(str(n) * 100 for n in range(1, ahead + 2))]


# The client


class Line:
    """A server with a line: what becomes of each client in turn is up to a test."""

    def __init__(self, *fates: Callable[[WebSocketConnection], Awaitable[None]] | None) -> None:
        """A fate is what the server does while a client is in line; without one, it is refused."""
        self.asked: list[str] = []
        self.taken = Obliging()
        self._fates = list(fates)

    async def __call__(self, request: WebSocketRequest) -> None:
        self.asked.append(request.path)
        fate = self._fates.pop(0)
        if fate is None:
            await request.reject(503, body=b'{"error": "full", "message": "This host is full."}')
            return
        connection = await request.accept(extra_headers=[(b"Trioscribe-Export-Id", EXPORT_ID.encode())])
        await fate(connection)
        await self.taken.converse(connection)


async def at_once(connection: WebSocketConnection) -> None:
    await connection.send_message('{"queued":1}')
    await connection.send_message('{"queued":0}')


async def lost(connection: WebSocketConnection) -> None:
    await connection.send_message('{"queued":1}')
    await connection.ping()
    await connection._stream.aclose()


@pytest.fixture
def minute(tmp_path: Path) -> Path:
    file = tmp_path / "minute.flac"
    soundfile.write(file, np.random.default_rng(1).integers(-99, 99, 60 * 16_000).astype(np.int16), 16_000)
    return file


def samples(file: Path) -> bytes:
    return bytes(soundfile.read(file, dtype="int16")[0].tobytes())


async def test_the_client_says_that_it_waits_and_keeps_its_audio(
    minute: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def in_time(connection: WebSocketConnection) -> None:
        await connection.send_message('{"queued":2}')
        early = b""
        while True:
            with trio.move_on_after(0.3) as silence:
                early += cast("bytes", await connection.get_message())
            if silence.cancelled_caught:
                break
        assert len(early) < len(samples(minute))
        line.taken.audio += early
        await connection.send_message('{"queued":1}')
        await connection.send_message('{"queued":0}')

    line = Line(in_time)
    async with serving(line) as url:
        await listen(Order(source=str(minute), url=url, fast=True))
    assert line.taken.audio == samples(minute)
    assert capsys.readouterr().err.splitlines()[:3] == [
        "The server is full; waiting, number 2 in line.",
        "The server is full; waiting, number 1 in line.",
        "The stream begins.",
    ]


async def test_a_connection_that_breaks_in_line_is_followed_by_a_new_stream(
    minute: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Line(lost, at_once)
    async with serving(line) as url:
        await listen(Order(source=str(minute), url=url, fast=True))
    assert line.asked == ["/", "/"]  # there is nothing to resume
    assert line.taken.audio == samples(minute)
    assert EXPORT_ID in capsys.readouterr().err


async def test_who_got_no_further_than_the_line_is_promised_no_export(
    minute: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Line(lost, None)
    async with serving(line) as url:
        with pytest.raises(ClientError, match="This host is full"):
            await listen(Order(source=str(minute), url=url, fast=True))
    assert EXPORT_ID not in capsys.readouterr().err

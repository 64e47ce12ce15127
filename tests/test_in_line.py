"""In line for a stream: what the server does meanwhile, and what the command `trioscribe stream` does."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import trio

from server.transport.unread import Unread
from tests.conftest import Outcome, running
from tests.speech import clips

if TYPE_CHECKING:
    from pathlib import Path

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

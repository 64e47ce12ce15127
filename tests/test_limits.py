"""What is bounded: messages, bodies, readers who do not read, audio that comes all at once, and what the log says."""

from __future__ import annotations

import json
import logging
import socket
from typing import TYPE_CHECKING

import trio

from engine.text import normalise
from server.monitoring import logs
from tests.conftest import running
from tests.hostile import frame, upgrade
from tests.processes import Speaker, serving
from tests.speech import clips, errors
from tests.test_metrics import figures

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.conftest import Client

CLIPS = {clip.name: clip for clip in clips()}
PATIENCE = 60.0
MINUTES_AT_ONCE = 2
MORE_MIB = 40
"""Scratch memory of the first inferences, and buffers; two minutes alone are 11 MiB as samples."""


async def handshake(client: Client, receive_buffer: int | None = None) -> tuple[trio.SocketStream, str]:
    """A stream as bytes on a socket, and the ID of its export."""
    raw = socket.socket()
    if receive_buffer is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    tcp = trio.socket.from_stdlib_socket(raw)
    await tcp.connect(("127.0.0.1", client.app.port))
    stream = trio.SocketStream(tcp)
    await stream.send_all(upgrade())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += await stream.receive_some()
    head = answer.decode("latin-1").lower()
    return stream, head.partition("trioscribe-export-id: ")[2][:32]


async def test_who_does_not_read_is_ended_with_all_stored_and_nobody_else_waits(tmp_path: Path) -> None:
    clip = CLIPS["en-coffee"]
    async with running(tmp_path, send_timeout_s=1, admission="open") as client:
        lazy, export_id = await handshake(client, receive_buffer=2_048)
        await lazy.send_all(frame(2, clip.pcm))
        with trio.move_on_after(PATIENCE) as gave_up:
            try:
                while True:  # each is answered, until no answer fits in between any more
                    await lazy.send_all(frame(1, b"no command") * 100)
            except trio.BrokenResourceError:
                pass
        assert not gave_up.cancelled_caught
        other = await client.talk(clip.pcm, "eof")
        assert (other.code, other.words[-1]["word"]) == (1000, "tea?")
        await client.all_streams_ended()
        await lazy.aclose()
        assert (await client.get(f"/export/audio/{export_id}"))[44:] == clip.pcm
        finals = json.loads(await client.get(f"/export/transcript/{export_id}"))
        assert finals[-1]["result"][-1]["word"] == "tea?"
        assert figures((await client.get("/metrics")).decode())["trioscribe_faults_total{kind=slow_reader}"] == 1


async def test_audio_that_comes_all_at_once_is_transcribed_to_its_end(tmp_path: Path) -> None:
    """It waits in the sockets, and not in the server's memory."""
    chosen = [clip for clip in clips() if clip.language == "en"]
    pcm, said = b"", list[str]()
    while len(pcm) < MINUTES_AT_ONCE * 60 * 32_000:
        clip = chosen[len(said) % len(chosen)]
        pcm += clip.pcm + bytes(32_000)  # a pause
        said += [normalise(word) for word, _, _ in clip.words]
    async with serving(tmp_path, "--admission", "open") as server:
        await Speaker(CLIPS["en-coffee"].pcm, speed=1_000, language="en").speak(server.port)
        before = server.resources()["mib"]
        speaker, most = Speaker(pcm, speed=1e9, language="en"), before
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                nonlocal most
                while True:
                    most = max(most, server.resources()["mib"])
                    await trio.sleep(0.1)  # another process is at work

            nursery.start_soon(watch)
            with trio.fail_after(4 * PATIENCE):
                await speaker.speak(server.port)
            nursery.cancel_scope.cancel()
        assert (speaker.outcome.code, speaker.outcome.errors) == (1000, [])
        assert await server.finals(speaker.export_id) == speaker.outcome.finals
        assert (await server.get(f"/export/audio/{speaker.export_id}"))[44:] == pcm
        heard = [normalise(word["word"]) for word in speaker.outcome.words]
        assert errors(heard, said) <= len(said) // 20
        assert most < before + MORE_MIB


async def test_a_message_in_fragments_is_no_larger_than_one_in_a_piece(tmp_path: Path) -> None:
    async with running(tmp_path, max_message_mb=1, admission="open") as client:
        stream, export_id = await handshake(client)
        begin = bytes([0x02]) + frame(2, bytes(32_000))[1:]
        more = bytes([0x00]) + frame(0, bytes(32_000))[1:]
        answer = b""
        with trio.fail_after(PATIENCE):
            try:
                await stream.send_all(begin)
                for _ in range(100):
                    await stream.send_all(more)
                while chunk := await stream.receive_some():
                    answer += chunk
            except trio.BrokenResourceError:
                pass  # it has been closed, with audio under way
        await stream.aclose()
        await client.all_streams_ended()
        assert (await client.request(f"/exports/{export_id}"))[0] == 404  # the message never was whole
        if answer:
            assert answer[:4] == bytes([0x88, answer[1]]) + (1009).to_bytes(2, "big")


async def test_a_body_is_not_waited_for_and_not_kept(client: Client) -> None:
    for length, piece in ((10**9, b"x" * 65_536), (10**9, b""), (70_000, b"x" * 70_000)):
        stream = await trio.open_tcp_stream("127.0.0.1", client.app.rest_port)
        head = f"POST /exports HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        await stream.send_all(head.encode() + piece)
        answer = b""
        with trio.fail_after(PATIENCE):
            while b"\r\n\r\n" not in answer and (chunk := await stream.receive_some()):
                answer += chunk
        assert answer.startswith((b"HTTP/1.1 405", b"HTTP/1.1 413"))
        await stream.aclose()


async def test_nobody_writes_a_line_into_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    forged = "2026-01-01T00:00:00.000Z ERROR server.app: forged"
    caplog.set_level(logging.DEBUG)
    for port in (client.app.port, client.app.rest_port):
        for target in (f"/%0a{forged}", "/%0d%0a%1b[2J", "/?x=%0aERROR", "/\x1b[2J", "/x\x0b\x0c"):
            for header in (
                "Host: localhost",
                f"Host: localhost\r\nOrigin: http://x\x85{forged}",
                f"Host: x\r\n\t{forged}",
            ):
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                start = f"GET {target.replace(' ', '%20')} "
                handshake = upgrade().decode().replace("GET / ", start).replace("Host: localhost", header)
                await stream.send_all(handshake.encode("latin-1"))
                with trio.move_on_after(0.2):
                    await stream.receive_some()
                await stream.aclose()
    await client.talk(f"x\n{forged}", f'{{"config": {{"language": "\\n{forged}"}}}}', "eof")
    await client.all_streams_ended()
    for record in caplog.records:
        first, *others = logs.Text().format(record).splitlines()
        assert not first.startswith(forged[:10])
        assert all(line.startswith("    ") for line in others)
        assert "\x1b" not in first

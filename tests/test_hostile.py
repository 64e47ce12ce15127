"""Handshakes that are none, on both ports: a stream beside them loses nothing, and nothing is left of them."""

from __future__ import annotations

import random
import resource
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
import trio

from engine.text import normalise
from tests.conftest import running
from tests.hostile import KEY, frame, hostile, reset_on_close, throw, upgrade
from tests.processes import ServerProcess, Speaker, serving
from tests.speech import clips
from tests.test_metrics import figures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Attack = Callable[[ServerProcess], Awaitable[None]]

CLIPS = {clip.name: clip for clip in clips()}
IMPATIENT = ("--handshake-s", "1", "--rest-timeout-s", "1")
PATIENT = ("--handshake-s", "60", "--rest-timeout-s", "60")
REST = ("--resume-s", "0", "--log-level", "critical", "--queue", "100")
"""A good handshake in an attack may take the last place: whoever comes then waits in line."""
PATIENCE = 30.0
HALF_OPEN = 500
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def garbage(server: ServerProcess) -> None:
    chance = random.Random(11)
    for _ in range(100):
        await throw(chance.choice([server.port, server.rest_port]), hostile(chance), reset=chance.random() < 0.3)


async def resets(server: ServerProcess) -> None:
    """A plain request, a handshake, or nothing, and a reset at once or a little later."""
    for port in (server.port, server.rest_port):
        for sent in (b"", GET, GET[:10], upgrade(), upgrade() + frame(2, bytes(3_200))):
            for pause in (0.0, 0.01):
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                reset_on_close(stream)
                await stream.send_all(sent)
                await trio.sleep(pause)
                await trio.aclose_forcefully(stream)
    for _ in range(40):  # just when the stream begins
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        reset_on_close(stream)
        await stream.send_all(upgrade())
        await stream.receive_some()
        await trio.aclose_forcefully(stream)


async def early_data(server: ServerProcess) -> None:
    """A handshake with frames right behind it: Hypercorn's task fails on it, and must not take the port along."""
    for _ in range(10):
        for port in (server.port, server.rest_port):
            for path in ("/", "/exports"):
                await throw(port, upgrade(path) + frame(1, b"eof"))
        assert await server.get("/health") == b'{"status":"ok"}\n'
    counted = figures((await server.get("/metrics")).decode())
    assert counted["trioscribe_faults_total{kind=rest_connection}"] == 20


async def slow_headers(server: ServerProcess) -> None:
    """A byte now and then, so that something always comes: the time is for the whole handshake, and it is over."""

    async def dribble(port: int) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            with trio.fail_after(PATIENCE), pytest.raises(trio.BrokenResourceError):
                for _ in range(100_000):
                    await stream.send_all(b"GET / HTTP/1.1\r\nX: " if not _ else b"x")
                    await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        for port in [server.port, server.rest_port] * 10:
            nursery.start_soon(dribble, port)


async def half_open(server: ServerProcess) -> None:
    """Very many connections that say nothing: whoever comes after them is served while they are there."""
    async with AsyncExitStack() as stack:
        for number in range(HALF_OPEN):
            for port in (server.port, server.rest_port):
                stream = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
                if number % 2:
                    await stream.send_all(GET[:20])
        assert await server.get("/health") == b'{"status":"ok"}\n'
        await whole_stream(server, "en-coffee")
        counted = figures((await server.get("/metrics")).decode())
        assert counted["trioscribe_faults_total{kind=crowded}"] > 0
        assert counted["trioscribe_faults_total{kind=rest_crowded}"] > 0


@pytest.fixture(autouse=True)
def open_files() -> Iterator[None]:
    """A thousand connections take more files than a process may open on many hosts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * HALF_OPEN)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def whole_stream(server: ServerProcess, name: str, speed: float = 1_000.0) -> None:
    """A stream with nothing lost: audio, words, and the export as the client was told."""
    clip = CLIPS[name]
    speaker = Speaker(clip.pcm, speed=speed, language=clip.language)
    with trio.fail_after(PATIENCE):
        await speaker.speak(server.port)
    assert (speaker.outcome.code, speaker.outcome.errors) == (1000, [])
    assert (await server.get(f"/export/audio/{speaker.export_id}"))[44:] == clip.pcm
    assert await server.finals(speaker.export_id) == speaker.outcome.finals
    assert [normalise(word["word"]) for word in speaker.outcome.words] == [normalise(word) for word, _, _ in clip.words]


async def nothing_left(server: ServerProcess, before: dict[str, float]) -> None:
    """Wait until the process has no stream, and no more open files and threads than before.

    Close handshakes take their time.
    """
    with trio.move_on_after(PATIENCE):
        while figures((await server.get("/metrics")).decode())["trioscribe_streams"]:
            await trio.sleep(0.1)
        while any(server.resources()[name] > before[name] for name in ("files", "threads")):
            await trio.sleep(0.1)  # another process is at work
        return
    pytest.fail(f"left behind: {before} became {server.resources()}")


@pytest.mark.parametrize(
    ("attack", "flags"),
    [
        (garbage, IMPATIENT),
        (resets, PATIENT),
        (early_data, IMPATIENT),
        (slow_headers, IMPATIENT),
        (half_open, PATIENT),
    ],
)
async def test_a_stream_beside_an_attack_loses_nothing_and_nothing_is_left(
    tmp_path: Path, attack: Attack, flags: tuple[str, ...]
) -> None:
    async with serving(tmp_path, *flags, *REST) as server:
        before = server.resources()
        async with trio.open_nursery() as nursery:  # ordinary use: the threads that it takes stay for some seconds
            for name in ("en-coffee", "en-door"):
                nursery.start_soon(whole_stream, server, name)
        before["threads"] = server.resources()["threads"] + 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(whole_stream, server, "en-door", 4.0)
            await attack(server)
        await whole_stream(server, "en-coffee")
        await nothing_left(server, before)
        assert server.process.returncode is None


async def test_no_task_is_left(tmp_path: Path) -> None:
    async with running(tmp_path, handshake_s=1, rest_timeout_s=1, resume_s=0) as client:
        await client.talk("eof")
        with trio.fail_after(PATIENCE):
            while not (tmp_path / "capacity.json").exists():
                await trio.sleep(0.05)  # it measures itself first
        before = trio.lowlevel.current_statistics().tasks_living
        chance = random.Random(12)
        for _ in range(100):
            await throw(chance.choice([client.app.port, client.app.rest_port]), hostile(chance))
        with trio.fail_after(PATIENCE):
            while trio.lowlevel.current_statistics().tasks_living > before:
                await trio.sleep(0.05)  # close handshakes that nobody answers
        assert (await client.talk("eof")).code == 1000


async def test_a_rest_client_that_has_gone_is_let_go_at_once(tmp_path: Path) -> None:
    """More of them than there may be connections, within the time that each would be kept alive."""
    async with serving(tmp_path, *PATIENT) as server:
        for _ in range(300):
            async with await trio.open_tcp_stream("127.0.0.1", server.rest_port) as stream:
                await stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                with trio.fail_after(PATIENCE):
                    assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")


async def test_a_second_handshake_on_a_stream_is_no_frame(tmp_path: Path) -> None:
    async with serving(tmp_path, *IMPATIENT, *REST) as server:
        for second in (upgrade(), upgrade("/vosk"), b"\r\n\r\n", KEY.encode()):
            async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
                await stream.send_all(upgrade())
                assert b"101" in await stream.receive_some()
                await stream.send_all(second)
        await whole_stream(server, "en-coffee")

"""The port itself: what fails or is hostile takes nobody along, and shutting down waits for no one."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.exports.store import Store


async def test_bodies_nobody_asked_for_do_no_harm(start: Callable[..., Any], export_id: str) -> None:
    server = await start()
    answer, _ = await server.ask(f"/exports/{export_id}", body=b"x" * 1000)
    assert answer.status == 200
    answer, body = await server.ask("/exports", "POST", body=b"x" * 1000)
    assert (answer.status, json.loads(body)["error"]) == (405, "method_not_allowed")


UPGRADE_WITH_EARLY_DATA = (
    b"GET /exports HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    b"\x82\x05hello"
)


async def test_a_connection_that_fails_takes_no_other_along(start: Callable[..., Any], store: Store) -> None:
    recorder = await store.record(store.new_id(), sample_rate=16_000, model="tiny")
    for _ in range(40):
        await recorder.audio(b"\x01\x02" * 400_000)
    await recorder.complete(language=None)
    wav = store.audio_path(recorder.export_id).read_bytes()
    server = await start()

    download = await trio.open_tcp_stream("127.0.0.1", server.port)
    await download.send_all(f"GET /export/audio/{recorder.export_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    received = bytearray(await download.receive_some())  # under way, and far from its end

    for _ in range(3):
        server.crashed = trio.Event()
        stranger = await trio.open_tcp_stream("127.0.0.1", server.port)
        await stranger.send_all(UPGRADE_WITH_EARLY_DATA)
        with trio.fail_after(5):
            await server.crashed.wait()
        await stranger.aclose()
        answer, text = await server.ask("/health")
        assert (answer.status, text) == (200, b'{"status":"ok"}\n')
    assert server.crashes == 3

    body = received.index(b"\r\n\r\n") + 4
    while len(received) - body < len(wav):
        received += await download.receive_some()
    assert received[body:] == wav
    await download.aclose()


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01", b"\0" * 5000, b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"x" * 100_000, b"\r\n" * 20],
)
async def test_garbage_does_not_stop_the_server(start: Callable[..., Any], garbage: bytes) -> None:
    server = await start()
    stream = await trio.open_tcp_stream("127.0.0.1", server.port)
    with contextlib.suppress(trio.BrokenResourceError):  # the server may have had enough of it
        await stream.send_all(garbage)
    await stream.aclose()
    assert (await server.ask("/health"))[0].status == 200


async def test_shutdown_answers_what_was_asked_and_leaves_the_socket_open(
    start: Callable[..., Any], export_id: str
) -> None:
    server = await start()
    idle = await trio.open_tcp_stream("127.0.0.1", server.port)
    await idle.send_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await idle.receive_some()).startswith(b"HTTP/1.1 200")
    server.shutdown.set()
    with trio.fail_after(3):  # an idle connection does not use up the grace
        await server.stopped.wait()
        while await idle.receive_some():
            pass
    await idle.aclose()
    again = await start()
    assert again.port == server.port
    assert (await again.ask(f"/exports/{export_id}"))[0].status == 200


async def test_a_client_that_does_not_read_does_not_hold_up_the_shutdown(
    start: Callable[..., Any], store: Store
) -> None:
    recorder = await store.record(store.new_id(), sample_rate=16_000, model="tiny")
    for _ in range(40):
        await recorder.audio(b"\x01\x02" * 400_000)
    await recorder.complete(language=None)
    server = await start(grace=0.2)
    stream = await trio.open_tcp_stream("127.0.0.1", server.port)
    await stream.send_all(f"GET /export/audio/{recorder.export_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await stream.receive_some()
    server.shutdown.set()
    with trio.fail_after(5):
        await server.stopped.wait()
    await stream.aclose()

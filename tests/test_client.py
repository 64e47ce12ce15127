"""The client session, against a server that follows a script on a real socket."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection

from server.client.connection import ExportId, connect
from server.errors import ClientError
from server.protocol import StreamConfig, WireError, WireFinal, WirePartial
from tests.scripted_server import ERROR, EXPORT_ID, FINAL, PARTIAL, Obliging, serving

if TYPE_CHECKING:
    from trio_websocket import WebSocketRequest

    from tests.conftest import Client


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


async def test_captions_come_as_they_are_sent_and_the_id_at_the_end() -> None:
    server = Obliging(ERROR, '{"later": "protocol"}')
    before = trio.current_time()
    async with serving(server) as url, connect(url) as transcription:
        await transcription.send(b"\1\2" * 800)
        await transcription.send(b"\3")
        await transcription.eof()
        received = [each async for each in transcription]
    assert [each.raw for each in received] == [PARTIAL, ERROR, '{"later": "protocol"}', FINAL, EXPORT_ID]
    kinds = [type(each.message) for each in received]
    assert kinds == [WirePartial, WireError, type(None), WireFinal, ExportId]
    assert transcription.export_id == EXPORT_ID
    assert server.audio == b"\1\2" * 800 + b"\3"
    times = [before, *(each.at for each in received), trio.current_time()]
    assert times == sorted(times)


async def test_key_and_configuration_go_before_the_audio() -> None:
    server = Obliging()
    config = StreamConfig(sample_rate=8000, language="de")
    async with serving(server) as url, connect(url, config=config, key="secret") as transcription:
        await transcription.eof()
        assert [each.raw async for each in transcription] == [FINAL, EXPORT_ID]
    assert server.texts == ['{"Authorization":"secret","config":{"sample_rate":8000,"language":"de"}}']


async def test_nothing_is_said_without_a_configuration() -> None:
    server = Obliging()
    async with serving(server) as url, connect(url, config=StreamConfig()) as transcription:
        await transcription.eof()
        assert len([each async for each in transcription]) == 2
    assert server.texts == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": "shutting_down", "message": "The server is shutting down."}', "The server is shutting down."),
        (b"<html>", "HTTP status 503."),
        (b"", "HTTP status 503."),
    ],
)
async def test_a_refusal_is_given_in_the_words_of_the_server(body: bytes, said: str) -> None:
    async def refuse(request: WebSocketRequest) -> None:
        await request.reject(503, body=body or None)

    async with serving(refuse) as url:
        with pytest.raises(ClientError, match="refuses the stream") as caught:
            async with connect(url):
                pass
    assert str(caught.value).endswith(said)


async def test_the_rest_port_says_which_one_is_meant(client: Client) -> None:
    url = f"ws://127.0.0.1:{client.app.rest_port}/"
    with pytest.raises(ClientError, match=f"This is the REST port; streams are taken at port {client.app.port}"):
        async with connect(url):
            pass


async def test_no_server_is_one_clear_sentence() -> None:
    url = f"ws://127.0.0.1:{free_port()}/"
    with pytest.raises(ClientError) as caught:
        async with connect(url):
            pass
    assert str(caught.value) == f"No server answers at {url} (Connection refused). Is `trioscribe serve` running there?"


async def test_a_host_that_does_not_exist_is_one_clear_sentence() -> None:
    with pytest.raises(ClientError, match=r"No server answers at ws://\[fe80::1%nowhere\]/ \(.+\)\."):
        async with connect("ws://[fe80::1%nowhere]/"):
            pass


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8394/", "127.0.0.1:8394", "ws://", "ws://host:port/", "ws://192.168..5/"]
)
async def test_what_is_no_websocket_address_is_refused(url: str) -> None:
    with pytest.raises(ClientError, match=r"is not a WebSocket address such as ws://127\.0\.0\.1:8394/"):
        async with connect(url):
            pass


@pytest.mark.parametrize(
    ("greeting", "said"),
    [
        (b"220 mail.example ESMTP\r\n\r\n", "does not speak WebSocket"),
        (b"", r"Nothing at .* answers as a WebSocket server within 0\.2 s"),
    ],
)
async def test_a_server_of_another_kind_is_one_clear_sentence(
    greeting: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.client.dialing.CONNECT_TIMEOUT_S", 0.2)

    async def garbage(stream: trio.SocketStream) -> None:
        await stream.send_all(greeting)
        await stream.receive_some()
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, garbage, 0, host="127.0.0.1"))
        url = f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"
        with pytest.raises(ClientError, match=said):
            async with connect(url):
                pass
        nursery.cancel_scope.cancel()


PING = b"\x89\0"
NORMAL_CLOSE = b"\x88\2\3\xe8"


async def ping_when_closed(stream: trio.SocketStream) -> None:
    """A server whose ping crosses the client's close."""
    server = WSConnection(ConnectionType.SERVER)
    server.receive_data(await stream.receive_some())
    assert len(list(server.events())) == 1
    await stream.send_all(server.send(AcceptConnection()))
    assert await stream.receive_some()
    await stream.send_all(PING + NORMAL_CLOSE)


@pytest.mark.parametrize("failure", [None, ClientError("The stream is not wanted any more.")])
async def test_a_ping_that_comes_while_the_client_leaves_changes_nothing(failure: ClientError | None) -> None:
    caught = None
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, ping_when_closed, 0, host="127.0.0.1"))
        try:
            async with connect(f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"):
                if failure is not None:
                    raise failure
        except ClientError as error:
            caught = error
        nursery.cancel_scope.cancel()
    assert caught is failure


async def test_a_server_that_closes_midway_is_an_error_for_both_sides() -> None:
    async def give_up(request: WebSocketRequest) -> None:
        connection = await request.accept()
        await connection.get_message()
        await connection.aclose(1011, "the disk is full")

    async with serving(give_up) as url, connect(url) as transcription:
        await transcription.send(b"\0\0")
        with pytest.raises(ClientError, match=r"before the transcript was complete \(1011 .*: the disk is full\)"):
            await anext(transcription)
        with pytest.raises(ClientError, match="the disk is full"):
            await transcription.send(b"\0\0")


async def test_a_normal_close_without_the_id_is_an_error_too() -> None:
    async def forget(request: WebSocketRequest) -> None:
        connection = await request.accept()
        await connection.aclose()

    async with serving(forget) as url, connect(url) as transcription:
        with pytest.raises(ClientError, match="1000"):
            await anext(transcription)


async def test_a_connection_that_breaks_is_an_error() -> None:
    async def break_off(request: WebSocketRequest) -> None:
        connection = await request.accept()
        await connection.get_message()
        await connection._stream.aclose()

    async with serving(break_off) as url, connect(url) as transcription:
        await transcription.send(b"\0\0")
        with pytest.raises(ClientError, match="before the transcript was complete"):
            await anext(transcription)

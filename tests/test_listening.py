"""The command `trioscribe stream` from its beginning to its end, against a scripted server."""

from __future__ import annotations

import signal
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
import trio
from trio_websocket import ConnectionClosed

from server.client.listening import Order, listen
from server.client.transcript_file import rest_url
from server.errors import ClientError, SaveError, SourceError
from server.protocol import StreamConfig
from tests.scripted_server import ERROR, EXPORT_ID, FINAL, PARTIAL, Obliging, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from trio_websocket import WebSocketRequest

NOWHERE = "ws://127.0.0.1:1/"


@pytest.fixture
def clip(tmp_path: Path) -> str:
    """One second of noise."""
    file = tmp_path / "clip.flac"
    soundfile.write(file, np.random.default_rng(1).integers(-99, 99, 16_000).astype(np.int16), 16_000)
    return str(file)


def answering(status: bytes, body: bytes, asked: list[bytes]) -> Callable[[trio.SocketStream], Awaitable[None]]:
    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            asked.append(await stream.receive_some())
            await stream.send_all(b"HTTP/1.0 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    return answer


async def test_all_of_a_file_is_sent_and_its_finals_are_lines(clip: str, capsys: pytest.CaptureFixture[str]) -> None:
    server = Obliging(ERROR)
    async with serving(server) as url:
        await listen(Order(source=clip, url=url, rest="https://x.example/", fast=True))
    assert np.array_equal(np.frombuffer(server.audio, "<i2"), soundfile.read(clip, dtype="int16")[0])
    assert server.frames == [3200] * 10
    output = capsys.readouterr()
    assert output.out == "Das [b].\n"
    assert output.err.splitlines() == [
        "Send audio.",
        f"Transcript: https://x.example/export/transcript/{EXPORT_ID}",
        f"Audio:      https://x.example/export/audio/{EXPORT_ID}",
    ]


async def test_raw_messages_are_lines_as_they_came(clip: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(Obliging()) as url:
        await listen(Order(source=clip, url=url, fast=True, raw=True))
    assert capsys.readouterr().out.splitlines() == [PARTIAL, FINAL, EXPORT_ID]


async def test_what_was_asked_for_the_stream_is_sent(clip: str) -> None:
    server = Obliging()
    async with serving(server) as url:
        await listen(Order(source=clip, url=url, fast=True, config=StreamConfig(language="de"), key="k"))
    assert server.texts == ['{"Authorization":"k","config":{"language":"de"}}']


async def test_the_first_interrupt_ends_the_audio_and_waits_for_the_transcript(
    clip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Obliging(on_audio=lambda: signal.raise_signal(signal.SIGINT))
    async with serving(server) as url:
        await listen(Order(source=clip, url=url))
    assert 3200 <= len(server.audio) < 32_000
    output = capsys.readouterr()
    assert output.out == "Das [b].\n"
    assert "Ctrl-C once more leaves at once" in output.err
    assert EXPORT_ID in output.err


async def test_the_second_interrupt_leaves_at_once(clip: str) -> None:
    async def never_answer(request: WebSocketRequest) -> None:
        connection = await request.accept()
        await connection.get_message()
        signal.raise_signal(signal.SIGINT)
        while await connection.get_message() != "eof":
            pass
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    async with serving(never_answer) as url:
        with trio.fail_after(5), pytest.raises(BaseExceptionGroup) as caught:
            await listen(Order(source=clip, url=url))
    assert caught.group_contains(KeyboardInterrupt)


async def test_a_server_that_ends_midway_is_an_error(clip: str) -> None:
    async def give_up(request: WebSocketRequest) -> None:
        connection = await request.accept()
        await connection.get_message()
        await connection.aclose(1011, "no space left")

    async with serving(give_up) as url:
        with pytest.raises(ClientError, match="no space left"):
            await listen(Order(source=clip, url=url, fast=True))


async def test_settings_that_the_server_does_not_take_end_the_stream(
    clip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def know_no_such_language(request: WebSocketRequest) -> None:
        connection = await request.accept(extra_headers=[(b"Trioscribe-Export-Id", EXPORT_ID.encode())])
        await connection.get_message()
        await connection.send_message('{"error":"bad_config","message":"The model does not know \\"xx\\"."}')
        with suppress(ConnectionClosed):
            while await connection.get_message() != "eof":
                pass
            pytest.fail("the whole file was streamed")

    async with serving(know_no_such_language) as url:
        with pytest.raises(ClientError, match='does not know "xx"'):
            await listen(Order(source=clip, url=url, config=StreamConfig(language="xx")))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "said"), [("out.doc", "end it in one of .json"), ("out", "its format"), ("no/out.srt", "No such file")]
)
async def test_a_place_that_will_not_do_is_refused_before_anything_is_sent(
    clip: str, tmp_path: Path, name: str, said: str
) -> None:
    with pytest.raises(SaveError, match=said):
        await listen(Order(source=clip, url=NOWHERE, save_as=tmp_path / name))


async def test_trying_the_place_leaves_nothing_behind(clip: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text("before")
    for target in (tmp_path / "new.srt", kept):
        with pytest.raises(ClientError):
            await listen(Order(source=clip, url=NOWHERE, save_as=target))
    assert kept.read_text() == "before"
    assert not (tmp_path / "new.srt").exists()


async def test_a_source_that_will_not_do_is_refused_before_there_is_a_connection(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        await listen(Order(source=str(tmp_path / "none.wav"), url=NOWHERE))


async def test_the_transcript_is_saved_in_the_format_of_the_name(clip: str, tmp_path: Path) -> None:
    asked: list[bytes] = []
    target = tmp_path / "out.srt"
    async with serving(Obliging()) as url, trio.open_nursery() as nursery:
        rest = await nursery.start(
            partial(trio.serve_tcp, answering(b"200 OK", b"1\n00:00\nDas\n", asked), 0, host="127.0.0.1")
        )
        port = rest[0].socket.getsockname()[1]
        order = Order(source=clip, url=url, rest=f"http://127.0.0.1:{port}", fast=True, save_as=target, key="k")
        await listen(order)
        nursery.cancel_scope.cancel()
    assert target.read_bytes() == b"1\n00:00\nDas\n"
    assert asked[0].startswith(b"GET /export/transcript/%s?format=srt " % EXPORT_ID.encode())
    assert b"\r\nAuthorization: k\r\n" in asked[0]


async def test_a_transcript_that_cannot_be_fetched_is_an_error_in_the_words_of_the_server(
    clip: str, tmp_path: Path
) -> None:
    body = b'{"error": "not_found", "message": "There is no such export."}'
    async with serving(Obliging()) as url, trio.open_nursery() as nursery:
        rest = await nursery.start(partial(trio.serve_tcp, answering(b"404 No", body, []), 0, host="127.0.0.1"))
        port = rest[0].socket.getsockname()[1]
        order = Order(source=clip, url=url, fast=True, save_as=tmp_path / "x.txt")
        for address, said in {
            f"http://127.0.0.1:{port}": "There is no such export",
            "http://127.0.0.1:1": f"Connection refused.*is stored: curl .*/transcript/{EXPORT_ID}.*--rest-url",
            "http://:x": "--rest-url",
        }.items():
            with pytest.raises(SaveError, match=said):
                await listen(Order(source=order.source, url=url, rest=address, fast=True, save_as=order.save_as))
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("told", "port"),
    [(b"4321", 4321), (b"0", 8393), (b"x", 8393), (b"123456", 8393), (b"65535", 65535), (b"65536", 8393), (None, 8393)],
)
async def test_the_server_says_where_the_export_is(
    clip: str, told: bytes | None, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async def tell(request: WebSocketRequest) -> None:
        headers = [] if told is None else [(b"Trioscribe-Rest-Port", told)]
        await Obliging().converse(await request.accept(extra_headers=headers))

    async with serving(tell) as url:
        await listen(Order(source=clip, url=url, fast=True))
    assert f"Transcript: http://127.0.0.1:{port}/export/transcript/{EXPORT_ID}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "rest"),
    [
        ("ws://127.0.0.1:8394/", "http://127.0.0.1:8393"),
        ("ws://[::1]:9/x?token=1", "http://[::1]:8393"),
        ("wss://captions.example/live", "https://captions.example:8393"),
    ],
)
def test_the_rest_address_is_guessed_from_the_websocket(url: str, rest: str) -> None:
    assert rest_url(url) == rest

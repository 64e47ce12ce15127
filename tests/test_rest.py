"""The REST interface as clients see it: through the application, and over a real port."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from server.access.door import Door
from server.access.origins import Origins
from server.errors import StartupError
from server.exports.store import Store
from server.protocol import WireFinal, WireWord
from server.rest.download import parse_range
from server.rest.routes import Readiness, create_app
from server.rest.serving import open_rest_socket, serve_rest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from quart.typing import TestClientProtocol

FINALS = [
    WireFinal((WireWord(0.9, 0.5, 0.1, "Grüße,"), WireWord(0.8, 0.9, 0.5, "Welt.")), " Grüße, Welt."),
    WireFinal((WireWord(0.7, 3.0, 2.0, "日本"),), "日本"),
]
PCM = bytes(range(256)) * 500
OPEN_DOOR = Door(None, Origins())
READY = Readiness(True, "ready", 1, 2, "tiny")


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    await store.prepare()
    return store


@pytest.fixture
async def export_id(store: Store) -> str:
    recorder = await store.record(store.new_id(), sample_rate=16_000, model="tiny")
    await recorder.audio(PCM)
    for final in FINALS:
        await recorder.final(final)
    await recorder.complete(language="de")
    return recorder.export_id


@pytest.fixture
async def client(store: Store) -> TestClientProtocol:
    return create_app(store, lambda: READY, OPEN_DOOR).test_client()


async def refused(
    client: TestClientProtocol, status: int, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> dict[str, str]:
    """What the JSON body of an error says; every error has the same shape."""
    response = await getattr(client, method.lower())(path, headers=headers)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    body: dict[str, str] = await response.get_json()
    assert set(body) - {"state"} == {"error", "message", "hint"}
    assert re.fullmatch("[a-z_]+", body["error"])
    assert body["message"].endswith((".", "`."))
    assert body["hint"].endswith(".")
    return body


# Transcripts


async def test_a_transcript_is_the_list_of_finals_as_sent(client: TestClientProtocol, export_id: str) -> None:
    response = await client.get(f"/export/transcript/{export_id}", headers={"Authorization": "key"})
    assert response.status_code == 200
    assert await response.get_data() == b"[" + b",".join(map(msgspec.json.encode, FINALS)) + b"]"
    assert [final["text"] for final in await response.get_json()] == [final.text for final in FINALS]


@pytest.mark.parametrize(
    ("wanted", "media_type", "part"),
    [
        ("json", "application/json", '"word":"Welt."'),
        ("txt", "text/plain", "Grüße, Welt.\n日本\n"),
        ("text", "text/plain", "Grüße, Welt.\n日本\n"),
        ("srt", "application/x-subrip", "1\n00:00:00,100 --> 00:00:01,100\nGrüße, Welt.\n"),
        ("vtt", "text/vtt", "WEBVTT\n\n00:00:00.100 --> 00:00:01.100\nGrüße, Welt.\n"),
        ("tsv", "text/tab-separated-values", "100\t900\tGrüße, Welt.\n2000\t3000\t日本\n"),
    ],
)
async def test_formats_by_query_and_by_accept(
    client: TestClientProtocol, export_id: str, wanted: str, media_type: str, part: str
) -> None:
    ending = wanted.replace("text", "txt")
    # The query wins over the header.
    by_query = await client.get(f"/export/transcript/{export_id}?format={wanted}", headers={"Accept": "image/png"})
    by_accept = await client.get(f"/export/transcript/{export_id}", headers={"Accept": media_type})
    for response in (by_query, by_accept):
        assert response.status_code == 200
        assert response.headers["Content-Type"] == f"{media_type}; charset=utf-8"
        assert response.headers["Content-Disposition"] == f'inline; filename="trioscribe-{export_id}.{ending}"'
        assert part in await response.get_data(as_text=True)
    assert by_accept.headers["Vary"] == "Accept"


@pytest.mark.parametrize("accept", ["*/*", "text/html,application/xml;q=0.9,*/*;q=0.8", "application/json, text/plain"])
async def test_a_client_without_a_preference_gets_json(client: TestClientProtocol, export_id: str, accept: str) -> None:
    response = await client.get(f"/export/transcript/{export_id}", headers={"Accept": accept})
    assert response.headers["Content-Type"].startswith("application/json")


async def test_an_unknown_format_is_400_and_an_unknown_media_type_406(
    client: TestClientProtocol, export_id: str
) -> None:
    body = await refused(client, 400, f"/export/transcript/{export_id}?format=docx")
    assert "docx" in body["message"]
    body = await refused(client, 406, f"/export/transcript/{export_id}", headers={"Accept": "application/pdf"})
    assert "application/x-subrip" in body["message"]


async def test_a_live_export_is_409(client: TestClientProtocol, store: Store) -> None:
    recorder = await store.record(store.new_id(), sample_rate=16_000, model="tiny")
    for method, path in [("GET", "/export/transcript/"), ("GET", "/export/audio/"), ("DELETE", "/exports/")]:
        body = await refused(client, 409, path + recorder.export_id, method)
        assert (body["error"], body["state"]) == ("export_live", "live")
    assert (await (await client.get(f"/exports/{recorder.export_id}")).get_json())["state"] == "live"
    await recorder.complete(language=None)


@pytest.mark.parametrize(
    "bad", ["..", "%2e%2e", "..%2f..%2fmeta.json", "a" * 33, "A" * 32, "%00", "a" * 31 + "%00", "x" * 5000, "%ff", "ü"]
)
@pytest.mark.parametrize("route", ["/export/transcript/", "/export/audio/", "/exports/"])
async def test_a_bad_id_is_404(client: TestClientProtocol, export_id: str, route: str, bad: str) -> None:
    assert export_id
    await refused(client, 404, route + bad)
    await refused(client, 404, f"{route}{export_id.upper()}")


# The list


async def test_exports_are_listed_page_by_page(client: TestClientProtocol, store: Store, export_id: str) -> None:
    recorder = await store.record(store.new_id(), sample_rate=16_000, model="tiny")
    await recorder.complete(language=None)
    first = await (await client.get("/exports?limit=1")).get_json()
    second = await (await client.get(f"/exports?limit=1&before={first['next']}")).get_json()
    assert [page["exports"][0]["id"] for page in (first, second)] == [recorder.export_id, export_id]
    assert second["next"] is None
    shown = await (await client.get(f"/exports/{export_id}")).get_json()
    assert shown == second["exports"][0] == msgspec.to_builtins(await store.find(export_id))


@pytest.mark.parametrize("query", ["limit=abc", "limit=0", "limit=201", "limit=-1", "limit=1.5", "limit=", "before=x"])
async def test_a_query_that_makes_no_sense_is_400(client: TestClientProtocol, query: str) -> None:
    await refused(client, 400, f"/exports?{query}")


async def test_deleting(client: TestClientProtocol, export_id: str) -> None:
    assert (await client.delete(f"/exports/{export_id}")).status_code == 204
    await refused(client, 404, f"/exports/{export_id}", "DELETE")
    await refused(client, 404, f"/export/audio/{export_id}")


# Everything else


async def test_health_and_readiness(store: Store) -> None:
    ready = create_app(store, lambda: READY, OPEN_DOOR).test_client()
    assert await (await ready.get("/health")).get_json() == {"status": "ok"}
    assert await (await ready.get("/ready")).get_json() == msgspec.to_builtins(READY)
    not_ready = create_app(store, lambda: Readiness(False, "shutting down", 1, 2, "tiny"), OPEN_DOOR).test_client()
    response = await not_ready.get("/ready")
    assert response.status_code == 503
    assert (await response.get_json())["reason"] == "shutting down"


async def test_every_error_is_json(client: TestClientProtocol) -> None:
    await refused(client, 404, "/")
    await refused(client, 404, "/exports/")
    await refused(client, 404, "/static/x")
    await refused(client, 405, "/exports", "POST")
    allowed = (await client.put("/exports")).headers["Allow"]
    assert set(allowed.split(", ")) == {"GET", "HEAD", "OPTIONS"}


async def test_a_mistake_in_the_server_is_json_too(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Readiness:
        raise RuntimeError("secret detail")

    body = await refused(create_app(store, fail, OPEN_DOOR).test_client(), 500, "/ready")
    assert "secret" not in json.dumps(body)
    assert "secret detail" in caplog.text


async def test_the_description_names_every_route_and_type(client: TestClientProtocol) -> None:
    response = await client.get("/openapi.json")
    api = await response.get_json()
    assert set(api["paths"]) == {
        "/health",
        "/ready",
        "/exports",
        "/exports/{export_id}",
        "/export/transcript/{export_id}",
        "/export/audio/{export_id}",
    }
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(api)))
    assert referred == set(api["components"]["schemas"])
    answers = api["paths"]["/export/transcript/{export_id}"]["get"]["responses"]
    assert set(answers) == {"200", "400", "404", "406", "409"}
    assert {"application/json", "text/vtt"} <= set(answers["200"]["content"])


async def test_the_docs_load_nothing_from_elsewhere(client: TestClientProtocol) -> None:
    response = await client.get("/docs")
    page = await response.get_data(as_text=True)
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "://" not in page
    assert 'src="' not in page
    assert set(re.findall(r'(?:href=|fetch\()"([^"]*)"', page)) == {"openapi.json"}
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; connect-src 'self'")


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=10-", (10, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=50-1000", (50, 100)),
        ("Bytes = 1 - 2", (1, 3)),
        ("bytes=20-10", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("bytes=a-b", None),
        ("lines=0-1", None),
        ("bytes=--5", None),
        ("", None),
    ],
)
def test_ranges(header: str, part: tuple[int, int] | None) -> None:
    assert parse_range(header, 100) == part


# Over a real port


class Server:
    """A REST server on the loopback interface, and how often a connection to it failed."""

    def __init__(self, listener: socket.socket) -> None:
        self.port: int = listener.getsockname()[1]
        self.crashes = 0
        self.crashed = trio.Event()
        self.shutdown = trio.Event()
        self.stopped = trio.Event()

    def crash(self) -> None:
        self.crashes += 1
        self.crashed.set()

    async def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        def ask() -> tuple[http.client.HTTPResponse, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request(method, path, body, {name.replace("_", "-"): at for name, at in headers.items()})
                response = connection.getresponse()
                return response, response.read()
            finally:
                connection.close()

        return await trio.to_thread.run_sync(ask)


@pytest.fixture
async def start(store: Store, nursery: trio.Nursery) -> AsyncIterator[Callable[..., Any]]:
    with open_rest_socket("127.0.0.1", 0) as listener:

        async def start(grace: float = 5.0) -> Server:
            server = Server(listener)
            app = create_app(store, lambda: READY, OPEN_DOOR)

            async def run(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
                await serve_rest(
                    app,
                    listener,
                    shutdown=server.shutdown,
                    grace=grace,
                    on_crash=server.crash,
                    task_status=task_status,
                )
                server.stopped.set()

            await nursery.start(run)
            return server

        yield start
        nursery.cancel_scope.cancel()


async def test_audio_comes_over_the_wire_whole_and_in_parts(
    start: Callable[..., Any], store: Store, export_id: str
) -> None:
    server = await start()
    path = f"/export/audio/{export_id}"
    wav = store.audio_path(export_id).read_bytes()

    whole, body = await server.ask(path)
    assert (whole.status, body) == (200, wav)
    assert whole.headers["Content-Type"] == "audio/wav"
    assert whole.headers["Content-Length"] == str(len(wav))
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert whole.headers["Content-Disposition"] == f'inline; filename="trioscribe-{export_id}.wav"'

    head, body = await server.ask(path, "HEAD")
    assert (head.status, head.headers["Content-Length"], body) == (200, str(len(wav)), b"")

    part, body = await server.ask(path, Range="bytes=100-199")
    assert (part.status, part.headers["Content-Range"], body) == (206, f"bytes 100-199/{len(wav)}", wav[100:200])
    tail, body = await server.ask(path, Range="bytes=-7")
    assert (tail.status, body) == (206, wav[-7:])
    beyond, body = await server.ask(path, Range=f"bytes={len(wav)}-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(wav)}")
    assert json.loads(body)["error"] == "requested_range_not_satisfiable"
    for garbage in ("bytes=x", "bytes=5-1", "pages=1-2", "\xff", "bytes=" + "9" * 4000 + "x"):
        ignored, body = await server.ask(path, Range=garbage)
        assert (ignored.status, body) == (200, wav)
    assert server.crashes == 0


async def test_conditional_requests(start: Callable[..., Any], store: Store, export_id: str) -> None:
    server = await start()
    path = f"/export/audio/{export_id}"
    wav = store.audio_path(export_id).read_bytes()
    first, _ = await server.ask(path, "HEAD")
    etag, date = first.headers["ETag"], first.headers["Last-Modified"]

    for headers in ({"If_None_Match": etag}, {"If_Modified_Since": date}):
        unchanged, body = await server.ask(path, **headers)
        assert (unchanged.status, body) == (304, b"")
    for validator in (etag, date):
        part, body = await server.ask(path, Range="bytes=0-3", If_Range=validator)
        assert (part.status, body) == (206, b"RIFF")
    for validator in ('"other"', "Thu, 01 Jan 1970 00:00:00 GMT", f"W/{etag}", "nonsense"):
        whole, body = await server.ask(path, Range="bytes=0-3", If_Range=validator)
        assert (whole.status, body) == (200, wav)


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


async def test_a_port_in_use_is_explained() -> None:
    with open_rest_socket("127.0.0.1", 0) as taken, pytest.raises(StartupError, match=r"port \d+ .* cannot be opened"):
        open_rest_socket("127.0.0.1", taken.getsockname()[1])


async def test_an_address_that_is_none_is_explained() -> None:
    with pytest.raises(StartupError, match="no address to listen on"):
        open_rest_socket("no such host", 0)


async def test_ipv6_works_too() -> None:
    with open_rest_socket("::1", 0) as listener:
        assert listener.family == socket.AF_INET6

"""Audio over a real port: whole, in parts, and only if it has changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from server.rest.download import parse_range

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.exports.store import Store


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
        ("bytes=0010-0019", (10, 20)),
        ("bytes=0-" + "9" * 5000, (0, 100)),
        ("bytes=-" + "9" * 5000, (0, 100)),
        ("bytes=" + "0" * 5000 + "-9", (0, 10)),
        ("bytes=" + "9" * 5000 + "-1", None),
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

    head, body = await server.ask(path, "HEAD", Range="bytes=100-199")  # ranges are for GET alone
    assert (head.status, head.headers["Content-Length"], body) == (200, str(len(wav)), b"")

    part, body = await server.ask(path, Range="bytes=100-199")
    assert (part.status, part.headers["Content-Range"], body) == (206, f"bytes 100-199/{len(wav)}", wav[100:200])
    tail, body = await server.ask(path, Range="bytes=-7")
    assert (tail.status, body) == (206, wav[-7:])
    for place in (str(len(wav)), "9" * 5000):
        beyond, body = await server.ask(path, Range=f"bytes={place}-")
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

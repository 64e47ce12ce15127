"""A web server on loopback that has one file, and the faults that one tells it to have."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Mirror:
    """What the server has, how it answers, and what it was asked.

    `etag`: what it says of the file's version. `ranges`: whether it knows ranges. `cut`: how much of each body is
    sent before the connection ends, the last entry for all further ones; None for all of it. `status`: a refusal.
    `claimed`: the length that it gives in place of the true one, "" for none. `before_body` runs in its thread.
    """

    content: bytes
    etag: str = '"one"'
    ranges: bool = True
    cut: list[int | None] = field(default_factory=lambda: [None])
    status: int = 0
    claimed: str | None = None
    before_body: Callable[[], object] = lambda: None
    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and `Range` of each request."""


@contextmanager
def serving(mirror: Mirror) -> Iterator[Mirror]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with suppress(ConnectionError):  # a client that has read enough
                _answer(self, mirror)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - likewise
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        mirror.url = f"http://127.0.0.1:{server.server_port}/models"
        try:
            yield mirror
        finally:
            server.shutdown()
            thread.join()


def _answer(request: BaseHTTPRequestHandler, mirror: Mirror) -> None:
    wanted = request.headers.get("Range")
    mirror.asked.append((request.path, wanted))
    request.close_connection = True
    if mirror.status:
        request.send_error(mirror.status)
        return
    begin, body = 0, mirror.content
    match = re.fullmatch(r"bytes=(\d+)-", wanted or "")
    if match and mirror.ranges and request.headers.get("If-Range", mirror.etag) == mirror.etag:
        begin = int(match[1])
        body = mirror.content[begin:]
    if begin and not body:
        request.send_response(416)
        request.send_header("Content-Range", f"bytes */{len(mirror.content)}")
        request.end_headers()
        return
    request.send_response(206 if begin else 200)
    if begin:
        request.send_header("Content-Range", f"bytes {begin}-{len(mirror.content) - 1}/{len(mirror.content)}")
    length = str(len(body)) if mirror.claimed is None else mirror.claimed
    if length:
        request.send_header("Content-Length", length)
    if mirror.etag:
        request.send_header("ETag", mirror.etag)
    request.end_headers()
    mirror.before_body()
    cut = mirror.cut.pop(0) if len(mirror.cut) > 1 else mirror.cut[0]
    request.wfile.write(body[:cut])

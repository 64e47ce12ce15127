"""A file over HTTP: streamed from disk, in full or the part a Range header asks for (RFC 9110, one range)."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO, Final, Self

import trio
from quart.wrappers.response import ResponseBody
from quart_trio.wrappers import TrioResponse
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.http import http_date

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from types import TracebackType

    from quart.wrappers import Request

CHUNK_BYTES: Final = 128 * 1024
"""Read at once: large enough that the hops to a thread do not matter, small enough for many readers."""

MOST_DIGITS: Final = 20
"""Of a place in a file; with as many, and no zero before them, it is beyond the end."""

_RANGE: Final = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)", re.ASCII | re.IGNORECASE)


async def send_file(path: Path, request: Request, *, media_type: str, name: str, etag: str) -> TrioResponse:
    """Answer a GET or HEAD for the file, which must not change any more.

    Honours If-None-Match and If-Modified-Since, and of a GET Range and If-Range. Raises
    `RequestedRangeNotSatisfiable`, and `FileNotFoundError` if there is no file.
    """
    status = await trio.Path(path).stat()
    size = status.st_size
    response = TrioResponse(b"", content_type=media_type)
    response.set_etag(etag)
    response.last_modified = datetime.fromtimestamp(int(status.st_mtime), UTC)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Content-Disposition"] = f'inline; filename="{name}"'
    await response.make_conditional(request, accept_ranges="bytes")
    if response.status_code != 200:  # noqa: PLR2004  304 or 412: there is nothing to send
        return response
    begin, end = 0, size
    wanted = request.headers.get("Range") if request.method == "GET" else None
    if_range = request.headers.get("If-Range")
    if wanted and if_range in {None, f'"{etag}"', http_date(response.last_modified)}:
        part = parse_range(wanted, size)
        if part is not None:
            begin, end = part
            response.status_code = 206
            response.headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
    if request.method != "HEAD":
        response.response = FileSlice(path, begin, end)
    response.content_length = end - begin
    # An hour of audio over a slow line takes longer than any time limit that suits other answers.
    response.timeout = None
    return response


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """The first byte that is asked for and the one after the last, of a file with `size` bytes.

    None if the header is to be ignored: not understood, or several ranges. Raises
    `RequestedRangeNotSatisfiable` if no byte of the file is asked for.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = (_place(digits) for digits in match.groups())
    if first is None:
        begin, end = max(0, size - (last or 0)), size
    elif last is not None and first > last:
        return None
    else:
        begin, end = first, size if last is None else min(size, last + 1)
    if begin >= end:
        raise RequestedRangeNotSatisfiable(size)
    return begin, end


def _place(digits: str) -> int | None:
    """Read a number. Beyond any file's end they are all the same, and Python reads none of thousands of digits."""
    bare = digits.lstrip("0")
    return min(int(bare[:MOST_DIGITS] or "0"), sys.maxsize) if digits else None


class FileSlice(ResponseBody):
    """The bytes of a file from `begin` up to `end`, read while they are sent.

    Quart's own file body gets ranges wrong that count from the end or reach beyond it.
    """

    def __init__(self, path: Path, begin: int, end: int) -> None:
        self.begin = begin
        self.end = end
        self._path = path
        self._left = end - begin
        self._file: BinaryIO | None = None

    async def __aenter__(self) -> Self:
        self._file = await trio.to_thread.run_sync(self._open)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await trio.to_thread.run_sync(self._read)
        if not chunk:
            raise StopAsyncIteration
        self._left -= len(chunk)
        return chunk

    def _open(self) -> BinaryIO:
        file = self._path.open("rb")
        file.seek(self.begin)
        return file

    def _read(self) -> bytes:
        return self._file.read(min(CHUNK_BYTES, self._left)) if self._file else b""

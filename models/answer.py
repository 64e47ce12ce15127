"""What a server's answer to a request for a file, or for the rest of one, means. Pure."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from models.errors import PullError

if TYPE_CHECKING:
    from collections.abc import Mapping

RANGE: Final = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)", re.ASCII)
"""`Content-Range` of RFC 9110, section 14.4."""


class OutdatedPartError(Exception):
    """The part that is here does not go with what the server has: begin anew."""


def request(there: int, version: str) -> dict[str, str]:
    """Give the headers that ask for what is missing: all but `there` bytes, if the file is still that `version`.

    `version` is the strong ETag that came with the bytes that are here; without one, all is asked for.
    """
    return {"Range": f"bytes={there}-", "If-Range": version} if there and version else {}


def strong_version(headers: Mapping[str, str]) -> str:
    """Take the ETag from an answer, or "" if it has none that stands for every byte (RFC 9110, section 8.8.1)."""
    tag = headers.get("etag", "")
    return tag if tag.startswith('"') and tag.isascii() and tag.isprintable() else ""


def offset(status: int, headers: Mapping[str, str], *, there: int, size: int) -> int:
    """Tell where in the file the body of an answer begins: at 0, or at `there`, the bytes that are here.

    `headers` with lower-case names; `size` is that of the whole file. Raises `PullError` if the answer is a refusal or
    another file, and `OutdatedPartError` if the file must be asked for as a whole.
    """
    if status == HTTPStatus.PARTIAL_CONTENT:
        given = RANGE.fullmatch(headers.get("content-range", ""))
        if not given or int(given[1]) != there or given[3] not in {str(size), "*"}:
            raise OutdatedPartError
        return there
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise OutdatedPartError
    if status != HTTPStatus.OK:
        raise PullError(_refusal(status))
    length = headers.get("content-length", str(size))
    if length != str(size):
        raise PullError(
            f"another file is there: it has {length} bytes, not {size}. "
            "It may be the login page of a network, or a mirror of something else."
        )
    return 0


def _refusal(status: int) -> str:
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return f"there is no such file (HTTP status {status}). `models_mirror` can name another place."
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED}:
        return f"access was refused (HTTP status {status})."
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"the server cannot give it now (HTTP status {status}). Try again later."
    return f"HTTP status {status} came in place of the file."

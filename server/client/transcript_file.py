"""Fetches a finished transcript from the REST port and saves it."""

from __future__ import annotations

import http.client
import shlex
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec
import trio

from server.errors import SaveError
from server.exports.formats import FORMATS
from server.protocol import WireError

if TYPE_CHECKING:
    from pathlib import Path

REST_PORT: Final = 8393
TIMEOUT_S: Final = 30.0


def rest_url(stream_url: str, port: int | None = None) -> str:
    """Where the exports of a stream's server are: on the same host, at the port that it told or else the usual one."""
    parts = urlsplit(stream_url)
    host = parts.hostname or "127.0.0.1"
    scheme = "https" if parts.scheme == "wss" else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port or REST_PORT}"


def transcript_url(rest: str, export_id: str) -> str:
    """The address of a transcript."""
    return f"{rest.rstrip('/')}/export/transcript/{export_id}"


def audio_url(rest: str, export_id: str) -> str:
    """The address of the audio."""
    return f"{rest.rstrip('/')}/export/audio/{export_id}"


def check_target(path: Path) -> None:
    """Find out, before anything is streamed, whether a transcript can be saved there. Raises `SaveError`."""
    if path.suffix[1:] not in FORMATS:
        raise SaveError(f"{path} does not say its format: end it in one of {', '.join(f'.{s}' for s in FORMATS)}.")
    existed = path.exists()
    try:
        # Only opening it tells: permissions, read-only disks and missing directories all show here.
        path.open("ab").close()
        if not existed:
            path.unlink()
    except OSError as error:
        raise SaveError(f"{path} cannot be written: {error.strerror}.") from error


async def save(rest: str, export_id: str, path: Path, *, key: str | None) -> None:
    """Save a transcript in the format that the file's suffix names. Raises `SaveError`, which says how to get at it."""
    url = f"{transcript_url(rest, export_id)}?format={path.suffix[1:]}"
    shown = " -H 'Authorization: KEY'" if key else ""
    remedy = f"The transcript is stored: curl -f -o {shlex.quote(str(path))}{shown} '{url}' fetches it"
    try:
        body = await trio.to_thread.run_sync(_fetch, url, key, abandon_on_cancel=True)
    except urllib.error.HTTPError as error:
        raise SaveError(f"{url} cannot be fetched: {_refusal(error)}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise SaveError(
            f"{url} cannot be fetched: {reason}. {remedy}, if that is the REST port; --rest-url names another."
        ) from error
    try:
        await trio.Path(path).write_bytes(body)
    except OSError as error:
        raise SaveError(f"{path} cannot be written: {error.strerror}. {remedy}.") from error


def _fetch(url: str, key: str | None) -> bytes:
    request = urllib.request.Request(url, headers={"Authorization": key} if key else {})  # noqa: S310 - user's own
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 - likewise
        body: bytes = response.read()
    return body


def _refusal(error: urllib.error.HTTPError) -> str:
    """The sentence in the JSON body of a refusal, or else the status."""
    with error:
        try:
            return msgspec.json.decode(error.read(), type=WireError).message
        except msgspec.DecodeError:
            return f"HTTP status {error.code}."

"""Fetches a finished transcript from the REST port and saves it."""

from __future__ import annotations

import urllib.error
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import trio

from server.errors import SaveError

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES: Final = ("json", "txt", "srt", "vtt", "tsv")
REST_PORT: Final = 8393
TIMEOUT_S: Final = 30.0


def rest_url(stream_url: str) -> str:
    """Guess where the exports of a stream's server are: the same host, the usual port."""
    parts = urlsplit(stream_url)
    host = parts.hostname or "127.0.0.1"
    scheme = "https" if parts.scheme == "wss" else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{REST_PORT}"


def transcript_url(rest: str, export_id: str) -> str:
    """The address of a transcript."""
    return f"{rest.rstrip('/')}/export/transcript/{export_id}"


def audio_url(rest: str, export_id: str) -> str:
    """The address of the audio."""
    return f"{rest.rstrip('/')}/export/audio/{export_id}"


def check_target(path: Path) -> None:
    """Find out, before anything is streamed, whether a transcript can be saved there. Raises `SaveError`."""
    if path.suffix[1:] not in SUFFIXES:
        raise SaveError(f"{path} does not say its format: end it in one of {', '.join(f'.{s}' for s in SUFFIXES)}.")
    try:
        path.open("ab").close()
    except OSError as error:
        raise SaveError(f"{path} cannot be written: {error.strerror}.") from error


async def save(rest: str, export_id: str, path: Path, *, key: str | None) -> None:
    """Save a transcript in the format that the file's suffix names. Raises `SaveError`."""
    url = f"{transcript_url(rest, export_id)}?format={path.suffix[1:]}"
    try:
        path.write_bytes(await trio.to_thread.run_sync(partial(_fetch, url, key), abandon_on_cancel=True))
    except urllib.error.URLError as error:
        raise SaveError(f"{url} cannot be fetched: {error.reason}. Name the REST port with --rest-url.") from error
    except OSError as error:
        raise SaveError(f"The transcript {url} cannot be saved to {path}: {error.strerror or error}.") from error


def _fetch(url: str, key: str | None) -> bytes:
    request = urllib.request.Request(url, headers={"Authorization": key} if key else {})  # noqa: S310 - the user's own
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
        body: bytes = response.read()
    return body

"""Fetches a published model: over HTTP, going on where an earlier attempt broke off, and checked before it counts.

The file grows as `FILE.part` and takes its name when its SHA-256 is right, so a name in the folder is always a whole
model. A part is gone on with only if the server says by its ETag that the file is still the same (`If-Range`,
RFC 9110, section 13.1.5); a server that knows no ranges sends all of it again.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import filelock
import httpx

from models.answer import OutdatedPartError, offset, request, strong_version
from models.errors import PullError
from models.folder import difference, part_of, version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from models.catalog import Entry

ATTEMPTS: Final = 3
"""Connections for one pull: one that breaks off is gone on with at once, but not for ever."""

MIB: Final = 1 << 20

PATIENCE: Final = httpx.Timeout(30, connect=10)
"""Seconds without a byte after which a connection counts as broken."""


class _BrokenOffError(Exception):
    """A connection ended before the file did."""


def pull(
    entry: Entry,
    folder: Path,
    *,
    mirror: str = "",
    patience: httpx.Timeout = PATIENCE,
    report: Callable[[int], None] = lambda _: None,
) -> Path:
    """Fetch a model into `folder` and return its path; if it is there and whole, nothing is fetched.

    `mirror`: an address under which the file is, in place of the published one. `report` is told, now and then, how
    many bytes are here. Raises `PullError` with what to do; then nothing has changed under the model's name.
    """
    path = folder / entry.file
    with alone(entry, folder):
        if path.exists() and difference(entry, path) is None:
            return path
        url = f"{mirror.rstrip('/')}/{entry.file}" if mirror else entry.url
        part = part_of(path)
        try:
            _make_room(entry, part)
            with _client(patience) as client:
                _Transfer(client, url, entry, part, version_of(path), report).run()
            if flaw := difference(entry, part):
                part.unlink()
                raise PullError(f"What came from {url} is not the published {entry.name}: {flaw}. It was deleted.")
            part.replace(path)
            version_of(path).unlink(missing_ok=True)
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
            advice = "Free space, or set `models_dir` to another disk; then pull again to go on." if full else ""
            raise PullError(f"{part} cannot be written: {error.strerror}. {advice}".strip()) from error
    return path


@contextmanager
def alone(entry: Entry, folder: Path) -> Iterator[None]:
    """Have a model's files to oneself, against this process and others; the folder is made. Raises `PullError`."""
    lock = filelock.FileLock(folder / f".{entry.file}.lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        raise PullError(f"Another pull of {entry.name} is under way; wait for it.") from error
    except OSError as error:
        raise PullError(f"{folder} cannot be used: {error.strerror}. `models_dir` sets another folder.") from error
    try:
        yield
    finally:
        lock.release()


def _make_room(entry: Entry, part: Path) -> None:
    missing = entry.bytes - _size(part)
    free = shutil.disk_usage(part.parent).free
    if free < missing:
        raise PullError(
            f"{entry.name} needs {missing / MIB:.0f} MiB, and {part.parent} has {free / MIB:.0f}: free space, "
            "or set `models_dir` to another disk."
        )


@contextmanager
def _client(patience: httpx.Timeout) -> Iterator[httpx.Client]:
    try:
        client = httpx.Client(follow_redirects=True, timeout=patience, headers={"Accept-Encoding": "identity"})
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise PullError(f"The proxy that the environment names cannot be used: {error}") from error
    with client:
        yield client


@dataclass(frozen=True, slots=True)
class _Transfer:
    """Brings a part to the size of the whole file."""

    client: httpx.Client
    url: str
    entry: Entry
    part: Path
    version: Path
    report: Callable[[int], None]

    def run(self) -> None:
        reason = ""
        for _ in range(ATTEMPTS):
            if _size(self.part) == self.entry.bytes:
                return
            try:
                self._attempt()
            except OutdatedPartError:
                self.part.unlink(missing_ok=True)  # a server may say so even when asked for the whole
                reason = "the file there has changed"
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
                raise PullError(self._unreachable(error)) from error
            except (httpx.TransportError, _BrokenOffError) as error:
                reason = str(error) or type(error).__name__
            else:
                return
        raise PullError(
            f"{self.url} broke off ({reason}); {_size(self.part) / MIB:.1f} of {self.entry.bytes / MIB:.1f} MiB "
            "are here. Pull again to go on."
        )

    def _attempt(self) -> None:
        there = _size(self.part)
        headers = request(there, _version(self.version))
        try:
            with self.client.stream("GET", self.url, headers=headers) as response:
                begin = offset(response.status_code, response.headers, there=there, size=self.entry.bytes)
                if begin == 0:
                    self.part.unlink(missing_ok=True)
                    self.version.write_text(strong_version(response.headers), "ascii")
                self._write(response, begin)
        except PullError as refusal:
            raise PullError(f"{self.url}: {refusal}") from refusal
        except (httpx.UnsupportedProtocol, httpx.TooManyRedirects, httpx.InvalidURL) as error:
            raise PullError(f"{self.url} cannot be fetched: {error}") from error

    def _write(self, response: httpx.Response, begin: int) -> None:
        with self.part.open("ab") as file:
            for chunk in response.iter_raw():  # as it comes: chunks of a size would be lost where a connection breaks
                begin += len(chunk)
                if begin > self.entry.bytes:
                    self.part.unlink()
                    raise PullError(f"another file is there: it has more than {self.entry.bytes} bytes.")
                file.write(chunk)
                self.report(begin)
            file.flush()
            os.fsync(file.fileno())
        if begin < self.entry.bytes:
            raise _BrokenOffError("the connection was closed too early")

    def _unreachable(self, error: httpx.TransportError) -> str:
        return (
            f"{httpx.URL(self.url).host} cannot be reached ({error}). Without a network, fetch {self.entry.url} "
            f"on another machine and copy it to {self.part.parent}; or name a mirror with `models_mirror`."
        )


def _version(path: Path) -> str:
    """The ETag that was noted, or "" if there is none: a host that lost power may have left anything in its file."""
    noted = path.read_bytes().decode("ascii", errors="replace") if path.exists() else ""
    return strong_version({"etag": noted})


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

"""The exports by their IDs: begun, listed, found, read, deleted. `docs/exports.md` shows them on disk."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import shutil
import tempfile
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import trio

from server.errors import (
    ExportNotFoundError,
    ExportNotReadyError,
    InvalidCursorError,
    StartupError,
    StoreError,
)
from server.exports.export import (
    AUDIO,
    UNFINISHED,
    Export,
    Unfinished,
    mend,
    read_export,
    read_finals,
    read_unfinished,
    repair,
    replace_file,
    timestamp,
)
from server.exports.recorder import Recorder, begin_files, full_disk, has_room
from server.protocol import EXPORT_ID, StreamConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from server.protocol import WireFinal

T = TypeVar("T")

WRITING_THREADS: Final = 4
READING_THREADS: Final = 2
"""Threads of their own for readers: a big listing never makes a live stream wait for its turn to write."""

_HALF: Final = re.compile(r"\.[0-9a-f]{32}\.(new|deleted)", re.ASCII)
"""A folder that is being made or removed: no export yet, or no more."""

_CURSOR: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)\.([0-9a-f]{32})", re.ASCII)

MAX_ATTEMPTS: Final = 5
"""Recoveries of one export that may be begun: what brings the process down each time must not do so for ever."""

_logger = logging.getLogger(__name__)


class ExportPage(msgspec.Struct, frozen=True):
    """Exports, newest first. `next` is the cursor of the page after this one, if there is one."""

    exports: tuple[Export, ...]
    next: str | None


class Store:
    """All exports under `root`, the data directory. Call `prepare` before anything else.

    Every method may raise `StoreError` when the disk fails; none blocks the event loop.
    """

    def __init__(self, root: Path, min_free: int = 0) -> None:
        """`min_free`: bytes of the disk that recordings leave free."""
        self._folder = root / "exports"
        self._writing = trio.CapacityLimiter(WRITING_THREADS)
        self._reading = trio.CapacityLimiter(READING_THREADS)
        self._open: set[str] = set()
        self._min_free = min_free

    async def prepare(self) -> None:
        """Make the data directory ready, and mend what a crash of an earlier process left behind.

        Raises `StartupError` if the directory cannot be written, or another process uses it.
        """
        try:
            await trio.to_thread.run_sync(self._prepare, limiter=self._writing)
        except OSError as error:
            raise StartupError(
                f"The exports cannot be kept in {self._folder}: {error.strerror or error}. "
                "Make the directory writable for this user, or choose another data directory."
            ) from error

    def has_room(self) -> bool:
        """Whether another recording can be begun."""
        return has_room(self._folder, self._min_free)

    @staticmethod
    def new_id() -> str:
        """Make an ID that cannot be guessed: 32 lower-case hex digits."""
        return secrets.token_hex(16)

    async def record(
        self,
        export_id: str,
        *,
        sample_rate: int,
        model: str,
        owner: str | None = None,
        config: StreamConfig | None = None,
    ) -> Recorder:
        """Begin the export of a stream with `sample_rate` samples a second. The ID is one of `new_id`.

        `owner` is the holder of the key that the client came with, if any. `config` is kept until the export is
        whole, for the case that somebody else has to finish it.
        """
        folder = self._path(export_id)
        now = timestamp(datetime.now(UTC))
        export = Export(id=export_id, state="live", created=now, sample_rate=sample_rate, model=model, owner=owner)

        def begin() -> Recorder:
            if not self.has_room():
                raise full_disk()
            begin_files(folder, export, Unfinished(config or StreamConfig()))
            return Recorder(folder, export, self._writing, self._min_free, forget)

        forget = partial(self._open.discard, export_id)
        self._open.add(export_id)
        try:
            return await self._run(begin, self._writing)
        except BaseException:
            forget()
            raise

    async def unfinished(self) -> list[str]:
        """IDs of the exports that were interrupted and can be completed by `reopen`, oldest first."""

        def find() -> list[str]:
            return [
                export.id
                for export in reversed(self._scan())
                if export.state == "interrupted" and read_unfinished(self._folder / export.id).attempts < MAX_ATTEMPTS
            ]

        return await self._run(find, self._reading)

    @asynccontextmanager
    async def reopen(self, export_id: str) -> AsyncIterator[tuple[Export, StreamConfig, Recorder]]:
        """Take up an interrupted export again: what is known of it, how it was set, and a recorder that adds to it.

        While inside, it cannot be deleted. Raises `ExportNotFoundError`.
        """
        folder = self._path(export_id)

        def begin() -> tuple[Export, Unfinished, Recorder]:
            export = mend(folder, read_export(folder))
            unfinished = read_unfinished(folder)
            begun = Unfinished(unfinished.config, unfinished.attempts + 1)
            replace_file(folder / UNFINISHED, msgspec.json.encode(begun))
            return export, unfinished, Recorder(folder, export, self._writing)

        def begin_again() -> None:
            if (folder / UNFINISHED).exists():
                replace_file(folder / UNFINISHED, msgspec.json.encode(unfinished))

        self._open.add(export_id)
        try:
            export, unfinished, recorder = await self._run(begin, self._writing)
            try:
                yield export, unfinished.config, recorder
            except trio.Cancelled:  # a shutdown: this attempt does not count
                with trio.CancelScope(shield=True):
                    await self._run(begin_again, self._writing)
                raise
            finally:
                recorder.close()
        finally:
            self._open.discard(export_id)

    async def page(self, *, limit: int, before: str | None = None, owner: str | None = None) -> ExportPage:
        """List at most `limit` exports, newest first, from after the cursor `before`; only those of `owner` if given.

        Raises `InvalidCursorError` if `before` is not the `next` of a page.
        """
        cursor = None
        if before is not None:
            match = _CURSOR.fullmatch(before)
            if match is None:
                raise InvalidCursorError("This cursor is not one that a list of exports gave as its next.")
            cursor = match.groups()
        # Each request reads every meta.json (some 20 us each). An index would be faster, and wrong as soon as
        # somebody removes a folder by hand, which the layout allows.
        exports = await self._run(self._scan, self._reading)
        own = (export for export in exports if owner in {None, export.owner})
        older = [export for export in own if cursor is None or (export.created, export.id) < cursor]
        shown = tuple(older[:limit])
        more = shown and len(older) > limit
        return ExportPage(shown, f"{shown[-1].created}.{shown[-1].id}" if more else None)

    async def all(self) -> list[Export]:
        """List all exports, newest first."""
        return await self._run(self._scan, self._reading)

    async def find(self, export_id: str) -> Export:
        """Tell what is known of an export. Raises `ExportNotFoundError`."""
        folder = self._path(export_id)
        return await self._run(lambda: self._read(folder), self._reading)

    async def finals(self, export_id: str) -> list[WireFinal]:
        """Read the finals of an export as they were sent, in order. Raises `ExportNotFoundError`."""
        folder = self._path(export_id)
        return await self._run(lambda: read_finals(folder), self._reading)

    def audio_path(self, export_id: str) -> Path:
        """Tell where the WAV file of an export lies if there is one. Raises `ExportNotFoundError` for a bad ID."""
        return self._path(export_id) / AUDIO

    async def delete(self, export_id: str) -> None:
        """Remove an export for good. Raises `ExportNotFoundError`; `ExportNotReadyError` while it is live."""
        folder = self._path(export_id)

        def remove() -> None:
            if export_id in self._open:
                raise ExportNotReadyError(f"Export {export_id} is still being recorded.")
            # Out of sight at once and as a whole; `prepare` clears away what a crash leaves of it.
            hidden = folder.with_name(f".{export_id}.deleted")
            folder.rename(hidden)
            shutil.rmtree(hidden)

        await self._run(remove, self._writing)

    def _path(self, export_id: str) -> Path:
        if not EXPORT_ID.fullmatch(export_id):
            raise ExportNotFoundError("There is no such export: an ID has 32 digits, 0 to 9 and a to f.")
        return self._folder / export_id

    async def _run(self, job: Callable[[], T], limiter: trio.CapacityLimiter) -> T:
        def run() -> T:
            try:
                return job()
            except OSError as error:
                if isinstance(error, FileNotFoundError) and self._folder.is_dir():
                    raise ExportNotFoundError from error
                raise StoreError(f"The disk with {self._folder} failed: {error.strerror or error}.") from error

        return await trio.to_thread.run_sync(run, limiter=limiter)

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._folder) as probe:
            probe.write(b"x")
        self._lock()
        for folder in self._folder.iterdir():
            if _HALF.fullmatch(folder.name):
                shutil.rmtree(folder, ignore_errors=True)
            elif EXPORT_ID.fullmatch(folder.name):
                try:
                    repair(folder)
                except OSError as error:
                    _logger.warning("Export %s is left as it is: %s", folder.name, error)

    def _lock(self) -> None:
        # A second process would take the live exports of the first for crashed ones. The descriptor is left
        # open on purpose: the lock lasts as long as the process.
        descriptor = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise StartupError(
                f"Another process keeps its exports in {self._folder}. Stop it, or choose another data directory."
            ) from error

    def _read(self, folder: Path) -> Export:
        """Tell what is known of an export. One that says it is live, but is not recorded any more, was interrupted."""
        before = folder.name in self._open  # its recording may begin or end while the file is read
        export = read_export(folder)
        if export.state == "live" and not (before or folder.name in self._open):
            return msgspec.structs.replace(export, state="interrupted")
        return export

    def _scan(self) -> list[Export]:
        exports = []
        for name in filter(EXPORT_ID.fullmatch, [folder.name for folder in self._folder.iterdir()]):
            try:
                exports.append(self._read(self._folder / name))
            except FileNotFoundError:
                continue  # deleted meanwhile
            except OSError as error:
                _logger.warning("Export %s cannot be listed: %s", name, error)
        return sorted(exports, key=lambda export: (export.created, export.id), reverse=True)

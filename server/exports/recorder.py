"""Puts what a stream says and hears on disk while it happens.

Audio and finals are appended as they come, so a crash loses at most what came within the last second; what
`Recorder.complete` returns survives a power failure too. No method blocks the event loop.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from server.errors import StoreError
from server.exports.export import (
    AUDIO,
    FINALS,
    UNFINISHED,
    EndState,
    Export,
    Unfinished,
    duration,
    sync_folder,
    write_meta,
)
from server.exports.wav import BYTES_PER_SAMPLE, HEADER_BYTES, wav_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from server.protocol import WireFinal

GATHER_SECONDS: Final = 1.0
"""Audio that is written at once: a worker thread for every 20 ms frame would cost more than the writing."""


class Recorder:
    """One stream's export while it is live. Made by `Store.record`, or by `Store.reopen` to add what is missing.

    `complete` ends it; when that cannot be done, `close` does.

    After the first write that fails nothing more is taken, so what is on disk has no gaps: every later call
    of `audio`, `final` and `flush` raises the same `StoreError`.
    """

    def __init__(
        self,
        folder: Path,
        export: Export,
        limiter: trio.CapacityLimiter,
        min_free: int = 0,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        """Open the files that `begin_files` left in `folder`; to be called in a thread. Raises `OSError`.

        Audio is taken as long as `min_free` bytes of the disk are free. `on_close` is called when the files are let go.
        """
        self._min_free = min_free
        self._on_close = on_close
        self._folder = folder
        self._export = export
        self._limiter = limiter
        self._lock = trio.Lock()
        self._pending = bytearray()
        self._pending_since = 0.0
        self._failure: str | None = None
        self._done = False
        self._audio = _Appender(folder / AUDIO)
        try:
            self._finals = _Appender(folder / FINALS)
        except OSError:
            self._audio.close()
            raise

    @property
    def export_id(self) -> str:
        """ID under which the export is found."""
        return self._export.id

    async def audio(self, pcm: bytes) -> None:
        """Append 16-bit little-endian mono PCM of any length, odd ones too, at the recording's own rate.

        It is written when a second of it has come together; else this is no checkpoint, for that would cost a turn of
        the event loop with every frame. Raises `StoreError` if the disk refuses it.
        """
        self._check()
        now = trio.current_time()
        if not self._pending:
            self._pending_since = now
        self._pending += pcm
        enough = len(self._pending) >= GATHER_SECONDS * self._export.sample_rate * BYTES_PER_SAMPLE
        if enough or now - self._pending_since >= GATHER_SECONDS:
            await self.flush()

    async def final(self, final: WireFinal) -> None:
        """Append a final and all audio before it; both are with the operating system when this returns.

        Raises `StoreError` if the disk refuses it.
        """
        async with self._lock:
            self._check()
            await self._write_audio()
            with self._failing():
                line = msgspec.json.encode(final) + b"\n"
                await trio.to_thread.run_sync(self._finals.append, line, limiter=self._limiter)
            self._export = msgspec.structs.replace(
                self._export, finals=self._export.finals + 1, words=self._export.words + len(final.result)
            )

    async def flush(self) -> None:
        """Hand all audio so far to the operating system, for a stream that may be silent for a while.

        Raises `StoreError` if the disk refuses it.
        """
        async with self._lock:
            self._check()
            await self._write_audio()

    async def complete(self, *, language: str | None, state: EndState = "complete") -> Export:
        """End the recording. When this returns the export is on the disk, come what may.

        After a failed write the export is stored as "interrupted" with what came before the failure, and then
        `StoreError` is raised. It is raised too if the export cannot be made durable; then the call may be
        repeated, for instance when there is room on the disk again. Repeating it after success is harmless.
        """
        async with self._lock:
            if not self._done:
                finish = partial(self._finish, language, "interrupted" if self._failure else state)
                try:
                    await self._write_pending(self._audio.append)
                    self._export = await trio.to_thread.run_sync(finish, limiter=self._limiter)
                except OSError as error:
                    raise StoreError(self._sentence(error)) from error
                self.close()
        if self._failure:
            raise StoreError(f"Export {self.export_id} is cut short. {self._failure}")
        return self._export

    def close(self) -> None:
        """Let go of the files, whatever state they are in. Nothing is written any more."""
        self._done = True
        self._audio.close()
        self._finals.close()
        self._on_close()

    def _check(self) -> None:
        if self._failure:
            raise StoreError(self._failure)
        if self._done:
            raise StoreError(f"Export {self.export_id} has ended; nothing can be added to it.")

    async def _write_audio(self) -> None:
        with self._failing():
            await self._write_pending(self._append_audio)

    async def _write_pending(self, append: Callable[[bytes], None]) -> None:
        # Never abandoned on cancellation: a write once begun is seen through, and its outcome is known.
        chunk = bytes(self._pending)
        await trio.to_thread.run_sync(append, chunk, limiter=self._limiter)
        # What has been written is never written again. Meanwhile more may have come in at the end.
        del self._pending[: len(chunk)]

    def _append_audio(self, chunk: bytes) -> None:
        if chunk and not has_room(self._folder, self._min_free):
            raise full_disk()
        self._audio.append(chunk)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """A write that fails inside is the last one, and raises `StoreError`."""
        try:
            yield
        except OSError as error:
            self._failure = self._sentence(error)
            self._pending.clear()  # it has no place any more, and must not pile up in memory
            raise StoreError(self._failure) from error

    def _sentence(self, error: OSError) -> str:
        return (
            f"Writing export {self.export_id} to {self._folder} failed: {error.strerror or error}. "
            "Free space on the disk or check its permissions, then start a new stream."
        )

    def _finish(self, language: str | None, state: EndState) -> Export:
        samples = (self._audio.size - HEADER_BYTES) // BYTES_PER_SAMPLE
        export = msgspec.structs.replace(
            self._export,
            state=state,
            samples=samples,
            duration=duration(samples, self._export.sample_rate),
            language=language,
        )
        self._audio.end(wav_header(export.sample_rate, samples), HEADER_BYTES + samples * BYTES_PER_SAMPLE)
        self._finals.end(b"", self._finals.size)
        sync_folder(self._folder.parent)
        write_meta(self._folder, export)
        if state != "interrupted":
            (self._folder / UNFINISHED).unlink(missing_ok=True)
        self._audio.close()
        self._finals.close()
        return export


def has_room(folder: Path, min_free: int) -> bool:
    """Whether more than `min_free` bytes are free on the disk of `folder`; a disk that does not tell has room."""
    try:
        return not min_free or shutil.disk_usage(folder).free > min_free
    except OSError:
        return True


def full_disk() -> OSError:
    """What a full disk would raise, for one that is only as full as it is allowed to be."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _Appender:
    """A file that grows by whole pieces: one that fits only in part is taken back."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._descriptor).st_size

    def append(self, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self._descriptor, data[written:], self.size + written)
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += written

    def end(self, header: bytes, size: int) -> None:
        """Put `header` over the beginning, cut the file to `size` bytes, wait until it is on the disk."""
        os.pwrite(self._descriptor, header, 0)
        os.ftruncate(self._descriptor, size)
        os.fsync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def begin_files(folder: Path, export: Export, unfinished: Unfinished) -> None:
    """Make the folder of a new export, with all its files. Raises `OSError`."""
    # Under a name that no ID has until it is whole: nobody ever sees a folder with files missing.
    new = folder.with_name(f".{folder.name}.new")
    new.mkdir()
    (new / AUDIO).write_bytes(wav_header(export.sample_rate))
    (new / FINALS).touch()
    (new / UNFINISHED).write_bytes(msgspec.json.encode(unfinished))
    write_meta(new, export)
    new.rename(folder)

"""Where a client's audio comes from: a file, an address, raw PCM on standard input, or the microphone.

Every source gives 16 kHz mono PCM16 as it goes, in bounded memory, whatever it is made from.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import asynccontextmanager, closing
from pathlib import Path
from subprocess import PIPE
from typing import IO, TYPE_CHECKING, Final

import numpy as np
import soundfile
import trio

from engine.types import SAMPLE_RATE
from server.client.converter import BLOCK_S, Converter, floats
from server.client.microphone import Microphone
from server.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from server.client.frames import Source

BYTES_PER_SAMPLE: Final = 2
PIPE_BYTES: Final = 16 * 1024
STDIN: Final = 0
ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@asynccontextmanager
async def open_source(
    name: str, *, rate: int = SAMPLE_RATE, device: int | str | None = None
) -> AsyncGenerator[Source, None]:
    """Open the file or address `name`, `-` for raw mono PCM16 of `rate` on standard input, or `mic` for a microphone.

    `device` is the microphone's number or a part of its name. Raises `SourceError` with what is wrong and what to do.
    """
    if name == "-":
        if os.isatty(STDIN):
            raise SourceError("Standard input is a terminal; pipe raw PCM into it, or name a file.")
        yield await _begun(_Stdin(rate), "No audio came in on standard input.")
    elif name == "mic":
        with closing(Microphone(device)) as microphone:
            yield microphone
    elif ADDRESS.match(name):
        async with _ffmpeg(name, name) as source:
            yield source
    elif file := _sound_file(Path(name)):
        with file:
            yield _File(file)
    else:
        async with _ffmpeg(name, f"file:{name}") as source:
            yield source


class _File:
    live = False

    def __init__(self, file: soundfile.SoundFile) -> None:
        self._file = file
        self._converter = Converter(file.samplerate)
        self._block = max(1, int(file.samplerate * BLOCK_S))
        self.duration_s = file.frames / file.samplerate

    async def read(self) -> bytes:
        return await trio.to_thread.run_sync(self._read)

    def _read(self) -> bytes:
        pcm = b""
        while not pcm and not self._file.closed:  # a resampler holds the first samples back
            try:
                samples = self._file.read(self._block, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                raise SourceError(f"{self._file.name} is damaged: {error}") from error
            last = len(samples) < self._block
            pcm = self._converter.convert(samples, last=last)
            if last:
                self._file.close()
        return pcm


class _Stdin:
    live = False
    duration_s = None

    def __init__(self, rate: int) -> None:
        self._converter = Converter(rate)
        self._half = b""
        self._ended = False

    async def read(self) -> bytes:
        pcm = b""
        while not pcm and not self._ended:
            # A silent pipe holds its reader for good; left alone, the thread holds nothing but itself.
            data = await trio.to_thread.run_sync(_read_stdin, abandon_on_cancel=True)
            self._ended = not data
            data = self._half + data
            whole = len(data) - len(data) % BYTES_PER_SAMPLE
            self._half = data[whole:]
            pcm = self._converter.convert(floats(np.frombuffer(data[:whole], dtype="<i2")), last=self._ended)
        return pcm


def _read_stdin() -> bytes:
    # Not sys.stdin: its lock, held by a thread left behind, would abort the interpreter's exit.
    return os.read(STDIN, PIPE_BYTES)


class _Ffmpeg:
    live = False
    duration_s = None

    def __init__(self, name: str, process: trio.Process, complaints: IO[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - it was opened with a pipe
        self._name = name
        self._process = process
        self._pcm = process.stdout
        self._complaints = complaints

    async def read(self) -> bytes:
        pcm = await self._pcm.receive_some(PIPE_BYTES)
        if not pcm and await self._process.wait():
            self._complaints.seek(0)
            lines = self._complaints.read().decode(errors="replace").split("\n")
            raise SourceError(f"{self._name} cannot be read as audio: {lines[0]}")
        return bytes(pcm)

    async def aclose(self) -> None:
        """Stop ffmpeg, wherever it is."""
        self._process.kill()
        with trio.CancelScope(shield=True):
            await self._process.wait()
        await self._pcm.aclose()


class _Begun:
    """A source whose first audio has been read already."""

    live = False
    duration_s = None

    def __init__(self, source: Source, first: bytes) -> None:
        self._source = source
        self._first = first

    async def read(self) -> bytes:
        first, self._first = self._first, b""
        return first or await self._source.read()


async def _begun(source: Source, silent: str) -> Source:
    """Wait for the first audio: before it, nobody knows whether there is any. Raises `SourceError` (`silent`)."""
    first = await source.read()
    if not first:
        raise SourceError(silent)
    return _Begun(source, first)


def _sound_file(path: Path) -> soundfile.SoundFile | None:
    """Open what libsndfile can read; None for other files. Raises `SourceError` if there is no audio."""
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"{path} is empty.")
        with path.open("rb"):
            pass
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        file = soundfile.SoundFile(path)
    except soundfile.SoundFileError:
        return None
    if not file.frames:
        file.close()
        raise SourceError(f"{path} has no audio in it.")
    return file


@asynccontextmanager
async def _ffmpeg(name: str, address: str) -> AsyncGenerator[Source, None]:
    if not shutil.which("ffmpeg"):
        raise SourceError(
            f"{name} is no wav, flac, ogg or mp3 file. To read it, install ffmpeg; or let another program that can "
            "write raw 16-bit mono PCM of 16 kHz into a pipe: PROGRAM | trioscribe stream -"
        )
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", address]
    command += ["-f", "s16le", "-ac", "1", "-ar", str(SAMPLE_RATE), "-"]
    # A file takes any amount of complaints; a pipe that nobody reads would stop ffmpeg.
    with tempfile.TemporaryFile() as complaints:
        # In a session of its own, so that Ctrl-C reaches the client alone.
        process = await trio.lowlevel.open_process(command, stdout=PIPE, stderr=complaints, start_new_session=True)
        source = _Ffmpeg(name, process, complaints)
        try:
            yield await _begun(source, f"{name} has no audio in it.")
        finally:
            await source.aclose()

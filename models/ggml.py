"""Reads the structure of a whisper.cpp (ggml) model file, without loading it.

whisper.cpp trusts what it reads: a truncated or foreign file can end the process in native code. So a file is checked
here first, from its first byte to its last. Format: whisper.cpp, `convert-pt-to-ggml.py` and `whisper_model_load`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from engine.errors import ModelError
from models.architecture import FFT_BINS, Form, Header, tensors

if TYPE_CHECKING:
    from pathlib import Path

MAGIC: Final = 0x67676D6C

MAX_NAME: Final = 128

MAX_TOKEN: Final = 1 << 10
"""Bytes of a token; whisper.cpp takes the memory for as many as the file claims. The longest of OpenAI's has 128."""

BLANK: Final = b" "
"""The token that whisper.cpp keeps a transcript from beginning with; without it in the vocabulary it fails."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor lies in its file: the byte at which its own header begins, and that of its data."""

    name: str
    form: Form
    header_at: int
    data_at: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A sound model file: its header, and its tensors in the file's order, which fill it to its end."""

    header: Header
    tensors: tuple[Tensor, ...]


def check(path: Path) -> Header:
    """Make sure that whisper.cpp can load a file. Raises `ModelError`; see `read`."""
    return read(path).header


def read(path: Path) -> Layout:
    """Walk through a model file from end to end, reading only its headers (milliseconds even for large models).

    Raises `ModelError` with the reason if it is missing, no Whisper model, or not whole: if any tensor is missing,
    foreign, twice there, or of another form than the header says.
    """
    try:
        if path.exists() and not path.is_file():
            raise ModelError(f"{path} is not a file. Give the path of a ggml file.")
        with path.open("rb") as file:
            return _walk(file, path.stat().st_size)
    except FileNotFoundError as error:
        raise ModelError(f"There is no model file {path}.") from error
    except OSError as error:
        raise ModelError(f"The model file {path} cannot be read: {error.strerror}.") from error
    except (struct.error, ValueError) as error:
        raise ModelError(f"{path} is not a whole whisper.cpp model file: {error}. Get it anew.") from error


def _walk(file: BinaryIO, size: int) -> Layout:
    (magic,) = _unpack(file, "<i")
    if magic != MAGIC:
        raise ValueError("it does not begin like one (GGUF and PyTorch files must be converted to ggml first)")
    header = Header(*_unpack(file, "<11i"))
    if flaw := header.flaw():
        raise ValueError(flaw)
    if _unpack(file, "<2i") != (header.n_mels, FFT_BINS):
        raise ValueError("its mel filters do not fit its header")
    _skip(file, header.n_mels * FFT_BINS * 4, size, "the mel filters")
    (tokens,) = _unpack(file, "<i")
    if not 0 < tokens <= header.n_vocab:
        raise ValueError(f"its vocabulary claims {tokens} tokens")
    _vocabulary(file, tokens)
    missing = tensors(header)
    found = []
    while file.tell() < size:
        found.append(_tensor(file, size, missing))
    if missing:
        raise ValueError(f"{len(missing)} tensors are missing from it, the first of them {next(iter(missing))}")
    return Layout(header, tuple(found))


def _vocabulary(file: BinaryIO, tokens: int) -> None:
    has_blank = False
    for _ in range(tokens):
        (length,) = _unpack(file, "<I")
        if length > MAX_TOKEN:
            raise ValueError(f"its vocabulary claims a token of {length} bytes")
        has_blank = _read(file, length) == BLANK or has_blank
    if not has_blank:
        raise ValueError("its vocabulary has no blank")


def _tensor(file: BinaryIO, size: int, missing: dict[str, Form]) -> Tensor:
    """Read one tensor's header and skip its data; it is taken out of `missing`."""
    header_at = file.tell()
    rank, length, kind = _unpack(file, "<3i")
    if not 1 <= rank <= 4 or not 1 <= length <= MAX_NAME:  # noqa: PLR2004 - ggml's tensors have up to four extents
        raise ValueError(f"a tensor's header is damaged at byte {header_at}")
    extents = _unpack(file, f"<{rank}i")
    name = _read(file, length).decode("ascii", errors="replace")
    form = missing.pop(name, None)
    if form is None:
        raise ValueError(f"a tensor at byte {header_at} is none of a Whisper model, or there twice: {name!r}")
    if (extents, kind) != (form.extents, form.kind):
        raise ValueError(f"{name} has extents {extents} and type {kind}, not {form.extents} and {form.kind:d}")
    data_at = file.tell()
    _skip(file, form.size, size, name)
    return Tensor(name, form, header_at, data_at)


def _unpack(file: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, _read(file, struct.calcsize(layout)))


def _read(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise ValueError("it ends too early")
    return data


def _skip(file: BinaryIO, count: int, size: int, what: str) -> None:
    if file.tell() + count > size:
        raise ValueError(f"it ends in the middle of {what}")
    file.seek(count, 1)

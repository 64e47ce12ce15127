"""Reads the structure of a whisper.cpp (ggml) model file, without loading it.

whisper.cpp itself trusts what it reads: a truncated or foreign file can end the process in native code. So a file is
checked here first. Format: whisper.cpp, `convert-pt-to-ggml.py` and `whisper_model_load`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from engine.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

MAGIC: Final = 0x67676D6C

TYPE_SIZES: Final = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34)}
"""ggml tensor types that Whisper files use: elements a block, and bytes a block."""

LARGEST: Final = 1_000_000
"""No number in a header is larger: the largest is the vocabulary of 51 866."""

MAX_DIMS: Final = 4
MAX_NAME: Final = 128
ENGLISH_VOCAB: Final = 51_864


@dataclass(frozen=True, slots=True)
class Header:
    """The numbers at the head of a model file."""

    n_vocab: int
    n_audio_ctx: int
    n_audio_state: int
    n_audio_head: int
    n_audio_layer: int
    n_text_ctx: int
    n_text_state: int
    n_text_head: int
    n_text_layer: int
    n_mels: int
    ftype: int

    @property
    def multilingual(self) -> bool:
        """Whether the model knows languages other than English."""
        return self.n_vocab > ENGLISH_VOCAB


def check(path: Path) -> Header:
    """Walk through a model file from end to end, reading only its headers (milliseconds even for large models).

    Raises `ModelError` with the reason if it is missing, no Whisper model, or not complete.
    """
    try:
        with path.open("rb") as file:
            return _walk(file, path.stat().st_size)
    except FileNotFoundError as error:
        raise ModelError(f"There is no model file {path}.") from error
    except OSError as error:
        raise ModelError(f"The model file {path} cannot be read: {error.strerror}.") from error
    except (struct.error, ValueError) as error:
        raise ModelError(f"{path} is not a whole whisper.cpp model file: {error}. Get it anew.") from error


def _walk(file: BinaryIO, size: int) -> Header:
    (magic,) = _unpack(file, "<i")
    if magic != MAGIC:
        raise ValueError("it does not begin like one (GGUF and PyTorch files must be converted to ggml first)")
    header = Header(*_unpack(file, "<11i"))
    numbers = [getattr(header, name) for name in header.__slots__]
    if min(numbers) < 0 or max(numbers) > LARGEST or header.n_mels not in {80, 128}:
        raise ValueError("its header makes no sense")
    n_mel, n_fft = _unpack(file, "<2i")
    _skip(file, n_mel * n_fft * 4, size, "the mel filters")
    (tokens,) = _unpack(file, "<i")
    for _ in range(tokens):
        _skip(file, _unpack(file, "<I")[0], size, "the vocabulary")
    tensors = 0
    while file.tell() < size:
        _tensor(file, size)
        tensors += 1
    expected = 11 + 15 * header.n_audio_layer + 24 * header.n_text_layer
    if tensors != expected:
        raise ValueError(f"it holds {tensors} tensors where there should be {expected}")
    return header


def _tensor(file: BinaryIO, size: int) -> None:
    dims, name_length, kind = _unpack(file, "<3i")
    if not 1 <= dims <= MAX_DIMS or not 1 <= name_length <= MAX_NAME or kind not in TYPE_SIZES:
        raise ValueError(f"a tensor's header is damaged at byte {file.tell()}")
    elements = 1
    for extent in _unpack(file, f"<{dims}i"):
        elements *= max(0, extent)
    per_block, block_bytes = TYPE_SIZES[kind]
    _skip(file, name_length + elements // per_block * block_bytes, size, "a tensor")


def _unpack(file: BinaryIO, layout: str) -> tuple[int, ...]:
    data = file.read(struct.calcsize(layout))
    if len(data) < struct.calcsize(layout):
        raise ValueError("it ends too early")
    return struct.unpack(layout, data)


def _skip(file: BinaryIO, count: int, size: int, what: str) -> None:
    if count < 0 or file.tell() + count > size:
        raise ValueError(f"it ends in the middle of {what}")
    file.seek(count, 1)

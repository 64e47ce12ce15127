"""Makes a model file smaller: its matrices are stored in blocks of few bits, as whisper.cpp's own `quantize` does.

Source: whisper.cpp, `examples/quantize/quantize.cpp` and `examples/common-ggml.cpp`. Only matrices are quantised;
vectors, convolutions and positional embeddings stay as they are. One thing differs: from a file in float32 the
convolutions go over to half precision, for otherwise whisper.cpp does not load what its own program made.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np

from engine.errors import ModelError
from models.appearing import appearing
from models.architecture import QUANTISATION_VERSION, Kind, tensors
from models.blocks import to_f16, to_q5_1, to_q8_0
from models.ggml import read

if TYPE_CHECKING:
    from pathlib import Path

    from models.blocks import Floats
    from models.ggml import Tensor

FORMATS: Final = {"q8_0": 7, "q5_1": 9}
"""What the matrices can be stored as: the name, and its number in `architecture.FILE_TYPES`."""

PIECE: Final = 1 << 18
"""Numbers taken at once, a multiple of every block: some 10 MiB of memory, whatever the model."""

FTYPE_AT: Final = 44
"""Where a file has its type: the last number of its header, the magic included."""

KIND_AT: Final = 8
"""Where a tensor's header has its type: its third number."""


def quantize(source: Path, target: Path, name: str) -> None:
    """Write `source`, a model in f32 or f16, to `target` in the format `name`, one of `FORMATS`.

    The target appears whole or not at all. Raises `ModelError` if the source is not sound or is quantised already,
    or the target is there already or cannot be written.
    """
    layout = read(source)
    if layout.header.kind.quantised:
        raise ModelError(f"{source} is quantised already ({layout.header.kind.name.lower()}). Start from its f16 file.")
    header = replace(layout.header, ftype=QUANTISATION_VERSION * 1000 + FORMATS[name])
    forms = tensors(header)
    try:
        if target.exists():
            raise ModelError(f"{target} is there already. Remove it, or name another file.")
        with source.open("rb") as file, appearing(target) as out:
            out.write(_patched(file.read(layout.tensors[0].header_at), FTYPE_AT, header.ftype))
            for tensor in layout.tensors:
                _convert(file, out, tensor, forms[tensor.name].kind)
    except OSError as error:
        raise ModelError(f"{target} cannot be written: {error.strerror}.") from error


def _convert(file: BinaryIO, out: BinaryIO, tensor: Tensor, kind: Kind) -> None:
    file.seek(tensor.header_at)
    out.write(_patched(file.read(tensor.data_at - tensor.header_at), KIND_AT, kind))
    _, width = tensor.form.kind.block
    left = tensor.form.numbers
    while left:
        count = min(PIECE, left)
        data = file.read(count * width)
        out.write(data if kind is tensor.form.kind else _stored(_floats(data, tensor), kind, tensor))
        left -= count


def _floats(data: bytes, tensor: Tensor) -> Floats:
    return np.frombuffer(data, "<f2" if tensor.form.kind is Kind.F16 else "<f4").astype(np.float32)


def _stored(numbers: Floats, kind: Kind, tensor: Tensor) -> bytes:
    try:
        match kind:
            case Kind.Q8_0:
                return to_q8_0(numbers)
            case Kind.Q5_1:
                return to_q5_1(numbers)
            case _:
                return to_f16(numbers)
    except ValueError as error:
        raise ModelError(f"The tensor {tensor.name} cannot be quantised: {error}.") from error


def _patched(data: bytes, at: int, number: int) -> bytes:
    return data[:at] + struct.pack("<i", number) + data[at + 4 :]

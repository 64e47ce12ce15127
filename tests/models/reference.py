"""ggml's own quantisation, from the library that comes with whisper.cpp's bindings."""

from __future__ import annotations

import ctypes
from importlib.metadata import files
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from models.blocks import Floats


def library() -> Path | None:
    """Where ggml is; None where the bindings have it within themselves."""
    installed = files("pywhispercpp") or []
    found = [file for file in installed if "libggml-base" in file.name and ".so" in file.name]
    return found[0].locate() if found else None  # type: ignore[return-value]  # it is a path on any file system


def quantise(path: Path, name: str, values: Floats, size: int) -> tuple[bytes, Floats]:
    """The `size` bytes that the values take in a format, and the values read from them."""
    ggml, length = ctypes.CDLL(str(path)), ctypes.c_int64(len(values))
    data, back = ctypes.create_string_buffer(size), np.empty_like(values)
    ggml[f"quantize_row_{name}_ref"](values.ctypes.data_as(ctypes.c_void_p), data, length)
    ggml[f"dequantize_row_{name}"](data, back.ctypes.data_as(ctypes.c_void_p), length)
    return data.raw, back

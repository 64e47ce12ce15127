"""ggml's own quantisation, from the library that comes with whisper.cpp's bindings, in a process of its own.

Once that library has been loaded by hand, the speech detector, which brings another version of it along, crashes.
`python -m tests.models.reference` answers requests on standard input: a line with the format, the number of values and
the bytes that they take in it, then the values in float32. An answer is those bytes, and the values they stand for.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
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


class Reference:
    """The process, from the side of those who ask."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.models.reference"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - ours

    def quantise(self, name: str, values: Floats, size: int) -> tuple[bytes, Floats]:
        """The `size` bytes that the values take in a format, and the values read from them."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{name} {len(values)} {size}\n".encode() + values.tobytes())
        stdin.flush()
        return stdout.read(size), np.frombuffer(stdout.read(values.nbytes), np.float32)

    def close(self) -> None:
        self._process.communicate()


def main() -> None:
    ggml = ctypes.CDLL(str(library()))
    while line := sys.stdin.buffer.readline():
        name, count, size = line.decode().split()
        values = np.frombuffer(sys.stdin.buffer.read(4 * int(count)), np.float32)
        data, back = ctypes.create_string_buffer(int(size)), np.empty_like(values)
        length = ctypes.c_int64(int(count))
        ggml[f"quantize_row_{name}_ref"](values.ctypes.data_as(ctypes.c_void_p), data, length)
        ggml[f"dequantize_row_{name}"](data, back.ctypes.data_as(ctypes.c_void_p), length)
        sys.stdout.buffer.write(data.raw + back.tobytes())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

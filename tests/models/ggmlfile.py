"""Model files written by hand: the smallest that the format allows, whole or with something wrong."""

from __future__ import annotations

import struct
from dataclasses import astuple
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from models.architecture import FFT_BINS, Header, Kind, tensors
from models.ggml import MAGIC

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SMALL: Final = Header(51_864, 1500, 64, 1, 1, 448, 64, 1, 1, 80, ftype=1)
"""One layer of 64 features: 7 MiB, nearly all of it the token embedding."""

TOKENS: Final = (b" ", b" the", b" a")


def front(header: Header = SMALL, tokens: Iterable[bytes] = TOKENS) -> bytes:
    """All that comes before the tensors."""
    words = list(tokens)
    filters = struct.pack("<2i", header.n_mels, FFT_BINS) + bytes(4 * header.n_mels * FFT_BINS)
    vocabulary = b"".join(struct.pack("<i", len(word)) + word for word in words)
    return struct.pack("<12i", MAGIC, *astuple(header)) + filters + struct.pack("<i", len(words)) + vocabulary


def tensor_header(name: str, extents: tuple[int, ...], kind: int) -> bytes:
    return struct.pack(f"<{3 + len(extents)}i", len(extents), len(name), kind, *extents) + name.encode()


def small_tensors(header: Header = SMALL) -> dict[str, bytes]:
    """Every tensor of the file, its header included, by name; filled with small random numbers."""
    return dict(_small_tensors(header))


@cache
def _small_tensors(header: Header) -> dict[str, bytes]:
    noise = np.random.default_rng(0)
    made = {}
    for name, form in tensors(header).items():
        numbers = noise.normal(0, 0.02, form.numbers).astype("<f2" if form.kind is Kind.F16 else "<f4")
        made[name] = tensor_header(name, form.extents, form.kind) + numbers.tobytes()
    return made


def write_small(path: Path) -> Path:
    path.write_bytes(front() + b"".join(small_tensors().values()))
    return path

"""ggml's quantised blocks in NumPy: 32 numbers share a scale (q8_0), or a scale and a minimum (q5_1).

Source: ggml, `block_q8_0` and `block_q5_1` in `ggml-common.h`, and the reference quantisers in `ggml-quants.c`,
followed to the bit: all arithmetic is in float32, and rounding is theirs.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

BLOCK: Final = 32
"""Numbers in a block."""

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_Q8_0: Final = np.dtype([("scale", "<f2"), ("codes", "i1", BLOCK)])
_Q5_1: Final = np.dtype([("scale", "<f2"), ("least", "<f2"), ("fifth_bits", "<u4"), ("nibbles", "u1", BLOCK // 2)])

_Q8_0_TOP: Final = np.float32(127)
_Q5_1_TOP: Final = np.float32(31)

_LEAST_NORMAL: Final = np.finfo(np.float32).tiny


def to_q8_0(numbers: Floats) -> bytes:
    """Store each number as a signed byte times its block's scale.

    `numbers`: float32, shape (n,), n a multiple of 32. Raises `ValueError` if one is not finite, or too large for
    a scale in half precision.
    """
    blocks = _blocks(numbers)
    scale = np.abs(blocks).max(axis=1) / _Q8_0_TOP
    out = np.empty(len(blocks), _Q8_0)
    out["scale"] = _half(scale)
    scaled = (blocks * _inverse(scale)).astype(np.float64)
    # Halves go away from zero, as in C's roundf (rint would take the even one); in float64 the sum is exact.
    out["codes"] = np.trunc(scaled + np.copysign(0.5, scaled))
    return out.tobytes()


def to_q5_1(numbers: Floats) -> bytes:
    """Store each number as five bits times its block's scale, above its block's least number.

    `numbers`: float32, shape (n,), n a multiple of 32. Raises `ValueError` as `to_q8_0`.
    """
    blocks = _blocks(numbers)
    least = blocks.min(axis=1)
    with np.errstate(over="ignore"):  # a span that float32 cannot hold is refused with the scale that it gives
        scale = (blocks.max(axis=1) - least) / _Q5_1_TOP
    out = np.empty(len(blocks), _Q5_1)
    out["scale"], out["least"] = _half(scale), _half(least)
    codes = ((blocks - least[:, None]) * _inverse(scale) + np.float32(0.5)).astype(np.uint8)
    # The low nibbles of the first and the second half of a block share bytes; all fifth bits are in one word.
    out["nibbles"] = (codes[:, : BLOCK // 2] & 15) | ((codes[:, BLOCK // 2 :] & 15) << 4)
    out["fifth_bits"] = np.packbits(codes >> 4, axis=1, bitorder="little").view("<u4")[:, 0]
    return out.tobytes()


def to_f16(numbers: Floats) -> bytes:
    """Store each number, float32 of any shape, in half precision. Raises `ValueError` if one does not fit."""
    return _half(numbers).tobytes()


def from_q8_0(data: bytes) -> Floats:
    """Give back the numbers, shape (n,), that a string of q8_0 blocks stands for."""
    blocks = np.frombuffer(data, _Q8_0)
    return (blocks["codes"].astype(np.float32) * blocks["scale"].astype(np.float32)[:, None]).ravel()


def from_q5_1(data: bytes) -> Floats:
    """Give back the numbers, shape (n,), that a string of q5_1 blocks stands for."""
    blocks = np.frombuffer(data, _Q5_1)
    low = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
    high = np.unpackbits(blocks["fifth_bits"].copy().view(np.uint8).reshape(-1, 4), axis=1, bitorder="little")
    codes = (low | (high << 4)).astype(np.float32)
    numbers: Floats = codes * blocks["scale"].astype(np.float32)[:, None]
    numbers += blocks["least"].astype(np.float32)[:, None]
    return numbers.ravel()


def _blocks(numbers: Floats) -> Floats:
    if not np.isfinite(numbers).all():
        raise ValueError("it has numbers that are not finite")
    return numbers.reshape(-1, BLOCK)


def _inverse(scale: Floats) -> Floats:
    """One over each scale, shape (n, 1); 0 where a half cannot hold the scale, which makes the whole block 0."""
    inverse: Floats = np.zeros_like(scale)
    np.divide(np.float32(1), scale, out=inverse, where=scale >= _LEAST_NORMAL)
    return inverse.reshape(-1, 1)


def _half(numbers: Floats) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        halves = numbers.astype(np.float16)
    if not np.isfinite(halves).all():
        raise ValueError("it has numbers that half precision cannot hold")
    return halves

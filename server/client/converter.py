"""Samples of any kind to what is streamed: 16 kHz mono PCM16."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import soxr

from engine.types import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_S: Final = 0.1
FULL_SCALE: Final = 32768


class Converter:
    """Samples of any rate and number of channels, to 16 kHz mono PCM16, without a seam between blocks."""

    def __init__(self, rate: int) -> None:
        self._resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1) if rate != SAMPLE_RATE else None

    def convert(self, samples: NDArray[np.float32], *, last: bool = False) -> bytes:
        """Convert a block, from -1 to 1, of shape (samples,) or (samples, channels). `last` gives all that is left."""
        mono = samples.mean(axis=1, dtype=np.float32) if samples.ndim > 1 else samples
        if self._resampler:
            mono = self._resampler.resample_chunk(mono, last=last)
        return (mono * FULL_SCALE).round().clip(-FULL_SCALE, FULL_SCALE - 1).astype("<i2").tobytes()


def floats(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Samples of 16 bits from -1 to 1."""
    return samples.astype(np.float32) / np.float32(FULL_SCALE)

"""From the bytes of the wire to samples, and the bounded buffer in which they wait."""

from __future__ import annotations

from typing import Final

import numpy as np
import soxr

from engine.errors import InvalidAudioError
from engine.types import BYTES_PER_SAMPLE, SAMPLE_RATE, Samples

FULL_SCALE: Final = 32_768.0


class PcmDecoder:
    """Signed 16-bit little-endian mono PCM of any rate, in pieces of any length, to samples.

    Half a sample at the end of one piece is joined to the next. Rates other than `SAMPLE_RATE` are resampled as
    one stream (soxr, high quality), so that cuts between pieces leave no trace.
    """

    def __init__(self, rate: int) -> None:
        if rate <= 0:
            raise InvalidAudioError(f"a sample rate must be positive, not {rate}")
        self.rate = rate
        self._carry = b""
        self._resampler = None if rate == SAMPLE_RATE else soxr.ResampleStream(rate, SAMPLE_RATE, 1, "float32")

    def decode(self, pcm: bytes) -> Samples:
        """The samples that `pcm` completes; empty for less than one sample."""
        data = self._carry + pcm if self._carry else pcm
        whole = len(data) - len(data) % BYTES_PER_SAMPLE
        self._carry = data[whole:]
        samples = np.frombuffer(data, "<i2", whole // BYTES_PER_SAMPLE).astype(np.float32) / np.float32(FULL_SCALE)
        return samples if self._resampler is None else _float32(self._resampler.resample_chunk(samples))

    def flush(self) -> Samples:
        """What the resampler still holds. Half a sample left over at the end of a stream is dropped."""
        self._carry = b""
        if self._resampler is None:
            return np.empty(0, np.float32)
        return _float32(self._resampler.resample_chunk(np.empty(0, np.float32), last=True))


class AudioBuffer:
    """The newest samples of a stream, addressed by their index from its first sample.

    Memory is taken once: `capacity` samples and a quarter more as slack, so that moving the content to the front
    is rare. A view is never handed out: threads read windows while the stream goes on writing.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._data: Samples = np.empty(capacity + capacity // 4, np.float32)
        self._origin = 0  # index of the stream's sample that lies at _data[0]
        self.start = 0
        self.end = 0

    @property
    def room(self) -> int:
        """Samples that can be appended now."""
        return self.capacity - (self.end - self.start)

    def append(self, samples: Samples) -> None:
        """Add samples at the end. Raises `InvalidAudioError` if there is no room for them."""
        count = len(samples)
        if count > self.room:
            raise InvalidAudioError(f"no room for {count} samples, only for {self.room}")
        if self.end + count - self._origin > len(self._data):
            self._data[: self.end - self.start] = self._data[self.start - self._origin : self.end - self._origin]
            self._origin = self.start
        self._data[self.end - self._origin : self.end - self._origin + count] = samples
        self.end += count

    def copy(self, start: int, end: int) -> Samples:
        """The samples from `start` to before `end`, which must lie in the buffer."""
        if not self.start <= start <= end <= self.end:
            raise InvalidAudioError(f"samples {start} to {end} are not in the buffer ({self.start} to {self.end})")
        return self._data[start - self._origin : end - self._origin].copy()

    def discard(self, before: int) -> None:
        """Forget the samples before an index; going back is not possible and does nothing."""
        self.start = max(self.start, min(before, self.end))


def _float32(samples: object) -> Samples:
    return np.ascontiguousarray(samples, np.float32).reshape(-1)

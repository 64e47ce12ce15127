"""The 44-byte header of a WAV file with 16-bit mono PCM, nothing else."""

from __future__ import annotations

import struct
from typing import Final

HEADER_BYTES: Final = 44
BYTES_PER_SAMPLE: Final = 2

MAX_SAMPLES: Final = (0xFFFF_FFFF - (HEADER_BYTES - 8)) // BYTES_PER_SAMPLE
"""The longest audio whose size a WAV header can state (4 GiB: 37 hours at 16 kHz, 12 at 48 kHz)."""

_HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")


def wav_header(sample_rate: int, samples: int = MAX_SAMPLES) -> bytes:
    """Make the header for `samples` samples at `sample_rate` a second.

    Without `samples` it states the largest size there is: while a recording grows, players then read on to
    the end of the file. More than `MAX_SAMPLES` cannot be stated, and is stated as `MAX_SAMPLES`.
    """
    data_bytes = min(samples, MAX_SAMPLES) * BYTES_PER_SAMPLE
    return _HEADER.pack(
        b"RIFF",
        HEADER_BYTES - 8 + data_bytes,
        b"WAVE",
        b"fmt ",
        16,  # bytes in the rest of this chunk
        1,  # PCM
        1,  # channel
        sample_rate,
        sample_rate * BYTES_PER_SAMPLE,
        BYTES_PER_SAMPLE,
        BYTES_PER_SAMPLE * 8,
        b"data",
        data_bytes,
    )


def wav_sample_rate(header: bytes) -> int | None:
    """Read the samples a second from a header that `wav_header` made; None if it is not one."""
    if len(header) != HEADER_BYTES:
        return None
    riff, _, wave, fmt, _, _, _, sample_rate, *_ = _HEADER.unpack(header)
    return sample_rate if (riff, wave, fmt) == (b"RIFF", b"WAVE", b"fmt ") and sample_rate > 0 else None

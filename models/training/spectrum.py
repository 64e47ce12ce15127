"""whisper.cpp's log-mel spectrum, for whole batches.

Source: whisper.cpp 1.8, `log_mel_spectrogram`: the signal is mirrored at its start and followed by silence.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

FFT: Final = 400
HOP: Final = 160


def log_mel(samples: Tensor, filters: Tensor) -> Tensor:
    """Float32 samples (batch, n) at 16 kHz to (batch, bands, n / 160); `filters`: (bands, 201), or one set for each."""
    padded = functional.pad(samples, (0, FFT // 2))
    padded = torch.cat([samples[:, 1 : FFT // 2 + 1].flip(1), padded], 1)
    spectrum = torch.stft(padded, FFT, HOP, window=torch.hann_window(FFT), center=False, return_complex=True)
    power = torch.view_as_real(spectrum).square().sum(-1)[..., : samples.shape[1] // HOP]
    bands = (filters @ power).clamp(min=1e-10).log10()
    loudest = bands.amax(dim=(1, 2), keepdim=True)
    return (torch.maximum(bands, loudest - 8) + 4) / 4

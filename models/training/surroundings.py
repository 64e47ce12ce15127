"""What lies between a mouth and a recording: room, microphone, noise, level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from random import Random

RATE: Final = 16_000
LONGEST: Final = 30 * RATE

Samples = NDArray[np.float32]


def coloured(slope: float, length: int, seed: int) -> Samples:
    """Noise whose power falls with frequency to the power of `slope` (0 white, 1 pink, 2 brown), of variance 1."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(length))
    spectrum[1:] *= np.maximum(np.arange(1, len(spectrum)), length * 20 / RATE) ** (-slope / 2)
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, length)
    return _even(noise)


def hum(frequency: float, length: int) -> Samples:
    """Mains and motors: a tone of that many Hz with its overtones, of variance 1."""
    time = np.arange(length) / RATE
    tones = [np.sin(2 * np.pi * frequency * k * time + k * k) / k for k in range(1, 12)]
    return _even(np.sum(tones, axis=0))


def music(length: int, seed: int) -> Samples:
    """Chords of decaying tones with overtones, two to five a second, of variance 1."""
    rng = np.random.default_rng(seed)
    out = np.zeros(length)
    at = 0
    while at < length:
        count = int(RATE / rng.uniform(2, 5))
        time = np.arange(min(3 * count, length - at)) / RATE
        for note in rng.choice(np.arange(45, 84), rng.integers(1, 5), replace=False):
            pitch = 440 * 2 ** ((note - 69) / 12)
            for overtone in range(1, int(rng.integers(2, 8))):
                out[at : at + len(time)] += np.sin(2 * np.pi * pitch * overtone * time) * np.exp(-3 * time) / overtone
        at += count
    return _even(out)


def _even(noise: NDArray[np.float64]) -> Samples:
    evened: Samples = (noise / noise.std()).astype(np.float32)
    return evened


class Surroundings:
    """Draws surroundings. Holds half a minute of each kind of noise, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._steady = [coloured(slope, LONGEST, seed + k) for k, slope in enumerate((0, 0, 0.5, 1, 1, 1.5, 2))]
        self._steady += [hum(frequency, LONGEST) for frequency in (50, 60, 117)]
        self._music = [music(LONGEST, seed + 100 + k) for k in range(6)]

    def noise(self, length: int, rng: Random, *, tuneful: float) -> Samples:
        """`length` samples of some noise, or with that probability of music; of variance about 1. A new array."""
        bank = self._music if rng.random() < tuneful else self._steady
        source, start = rng.choice(bank), rng.randrange(LONGEST)
        noise = np.concatenate([source[start : start + length], source[: max(0, start + length - LONGEST)]])
        if rng.random() < 0.3:  # noqa: PLR2004 - it swells
            noise *= 1 + 0.8 * np.sin(np.arange(length) * (2 * np.pi * rng.uniform(0.1, 2) / RATE)).astype(np.float32)
        return noise

    def record(self, speech: Samples, rng: Random, strength: float) -> Samples:
        """Put speech, which has pauses of digital silence, into a room and before a microphone.

        `strength` from 0 (as it is, only the level changes) to 1 (as bad as it gets). The start of sounds stays
        where it is. The same length comes back.
        """
        loud = np.sqrt(np.mean(np.square(speech[speech != 0]))) if speech.any() else np.float32(0.05)
        if rng.random() < 0.45 * strength:
            speech = _filtered(speech, rng)
        if rng.random() < 0.75 * strength:
            ratio = 10 ** (-(rng.uniform(4, 15) if rng.random() < 0.6 else rng.uniform(15, 40)) / 20)  # noqa: PLR2004
            speech = speech + self.noise(len(speech), rng, tuneful=0.12) * np.float32(loud * ratio)
        peak = max(float(np.abs(speech).max(initial=0)), 1e-4)
        level = 10 ** rng.uniform(-1.7, 0) if strength else rng.uniform(0.2, 1)
        if rng.random() < 0.06 * strength:
            clipped: Samples = np.clip(speech * np.float32(2.5 * level / peak), -level, level).astype(np.float32)
            return clipped
        recorded: Samples = (speech * np.float32(level / peak)).astype(np.float32)
        return recorded


def _filtered(speech: Samples, rng: Random) -> Samples:
    """A room's echo or none, and a microphone's band and tilt, in one transform."""
    extra = RATE // 2
    spectrum = torch.fft.rfft(torch.from_numpy(speech), len(speech) + extra)
    hertz = torch.linspace(1, RATE / 2, len(spectrum))
    low, high, tilt = rng.uniform(20, 300), rng.choice([3400, 4000, 6000, 7500, 8000]), rng.uniform(-0.3, 0.3)
    response = (hertz / 1000) ** tilt / ((1 + (low / hertz) ** 4) * (1 + (hertz / high) ** 16)).sqrt()
    spectrum = spectrum * response
    if rng.random() < 0.6:  # noqa: PLR2004
        spectrum = spectrum * torch.fft.rfft(torch.from_numpy(_echo(rng, extra)), len(speech) + extra)
    filtered: Samples = torch.fft.irfft(spectrum, len(speech) + extra)[: len(speech)].numpy()
    return filtered


def _echo(rng: Random, length: int) -> Samples:
    """A room's impulse response: the direct sound, then noise that decays by 60 dB in 0.1 to 0.5 s."""
    generator = np.random.default_rng(rng.getrandbits(32))
    decay = rng.uniform(0.1, 0.5)
    tail = generator.standard_normal(length) * np.exp(-6.9 / decay * np.arange(length) / RATE)
    tail[: rng.randint(16, 160)] = 0
    tail *= 10 ** (-rng.uniform(0, 15) / 20) / np.sqrt(np.square(tail).sum())
    tail[0] = 1
    echo: Samples = tail.astype(np.float32)
    return echo

"""Other speakers out of the same speech: resonances moved and coloured, in the bank of filters that hears them.

Source of the warp: Jaitly and Hinton 2013, "Vocal Tract Length Perturbation (VTLP) improves speech recognition".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

if TYPE_CHECKING:
    from random import Random

SHARE: Final = 0.6
"""Of the windows that are changed."""

SHORTEST, LONGEST = 0.86, 1.17
"""Factors of the frequencies."""

KNEE: Final = 0.6
"""Share of the band (4.8 kHz of 8) up to which frequencies are moved by the factor; those above fill what is left."""

WAVES: Final = 4
LOUDEST: Final = 0.12
"""The colour is a sum of that many cosines over the bands, each of so many powers of ten at most (1.2 dB)."""


@dataclass(frozen=True, slots=True)
class Timbre:
    """Of some windows. `stretch`: (windows,) factors of frequency; `colour`: (windows, bands) factors of power."""

    stretch: Tensor
    colour: Tensor

    def bank(self, filters: Tensor) -> Tensor:
        """Each window's filters (windows, bands, bins), made of those (bands, bins) that hear speech as it is.

        A band's filter keeps its sum, save its colour.
        """
        bins = filters.shape[1]
        place, factor = torch.linspace(0, 1, bins), self.stretch[:, None]
        knee = KNEE * factor.clamp(max=1) / factor
        moved = torch.where(place <= knee, place * factor, 1 - (1 - knee * factor) / (1 - knee) * (1 - place))
        moved = (moved * (bins - 1)).clamp(0, bins - 1)
        lower = moved.floor().clamp(max=bins - 2).long()
        share = moved - lower
        warped = (filters[:, lower] * (1 - share) + filters[:, lower + 1] * share).transpose(0, 1)
        kept = filters.sum(1)[:, None] / warped.sum(2, keepdim=True).clamp(min=1e-6)
        return warped * kept * self.colour[..., None]


def draw(windows: int, bands: int, rng: Random, strength: float) -> Timbre:
    """The timbres of that many windows; `strength` 0 leaves all as they are."""
    stretch, colour = torch.ones(windows), torch.zeros(windows, bands)
    place = torch.linspace(0, torch.pi, bands)
    for index in range(windows):
        if rng.random() < SHARE * strength:
            stretch[index] = rng.uniform(SHORTEST, LONGEST)
            for wave in range(1, WAVES + 1):
                colour[index] += rng.uniform(-LOUDEST, LOUDEST) * torch.cos(wave * place + rng.uniform(0, torch.pi))
    return Timbre(stretch, 10**colour)

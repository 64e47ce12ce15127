"""Muon: momentum whose matrices are made orthogonal, so that every direction of a weight is learned at one pace.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks". Matrices of one shape are
treated in one go, and where several processes train together each does its share of them: at this size the
arithmetic of the optimizer would otherwise cost as much as a quarter of the step.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, distributed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.nn import Parameter

COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
ITERATIONS: Final = 5
MOMENTUM: Final = 0.95


class Muon:
    """Updates weights of two or more dimensions (further ones count as columns) from their gradients.

    `dtype`: what it may reckon in; half precision is enough.
    """

    def __init__(self, weights: Sequence[Parameter], decay: float, dtype: torch.dtype) -> None:
        self._weights = list(weights)
        self._decay = decay
        self._dtype = dtype
        self.momentum = [torch.zeros_like(weight) for weight in self._weights]
        groups = defaultdict(list)
        for index, weight in enumerate(self._weights):
            rows, columns = _flat(weight).shape
            groups[min(rows, columns), max(rows, columns)].append(index)
        self._groups = list(groups.values())

    @torch.no_grad()
    def step(self, rate: float, rank: int, ranks: int) -> None:
        """One update; all processes must hold the same weights and gradients."""
        for momentum, weight in zip(self.momentum, self._weights, strict=True):
            momentum.lerp_(weight.grad, 1 - MOMENTUM)
        updates = [torch.zeros_like(weight) for weight in self._weights]
        for group in self._groups:
            mine = group[rank::ranks]
            if not mine:
                continue
            wide = [self._wide(index) for index in mine]
            for index, direction in zip(mine, orthogonal(torch.stack(wide), self._dtype), strict=True):
                flat = _flat(self._weights[index])
                turned = direction if flat.shape[0] <= flat.shape[1] else direction.T
                updates[index].copy_(turned.reshape(self._weights[index].shape))
        if ranks > 1:
            packed = torch.cat([update.flatten() for update in updates])
            distributed.all_reduce(packed)
            parts = packed.split([update.numel() for update in updates])
            updates = [part.view_as(update) for part, update in zip(parts, updates, strict=True)]
        for weight, update in zip(self._weights, updates, strict=True):
            rows, columns = _flat(weight).shape
            weight.mul_(1 - rate * self._decay).add_(update, alpha=-rate * max(1.0, rows / columns) ** 0.5)

    def _wide(self, index: int) -> Tensor:
        """A gradient with Nesterov's look ahead, no more rows than columns."""
        ahead = _flat(self._weights[index].grad.lerp(self.momentum[index], MOMENTUM))
        return ahead if ahead.shape[0] <= ahead.shape[1] else ahead.T


def orthogonal(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """The nearest half-orthogonal matrices, about, by Newton and Schulz's iteration.

    (n, rows, columns), rows fewer; reckoned in `dtype`.
    """
    a, b, c = COEFFICIENTS
    x = (matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(dtype)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.float()


def _flat(weight: Tensor) -> Tensor:
    return weight.flatten(1)

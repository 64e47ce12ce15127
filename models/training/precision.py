"""Half the bits are not half the time on every processor: the arithmetic that is quicker here."""

from __future__ import annotations

import time

import torch

ROWS, INNER, COLUMNS = 2400, 128, 512
"""A product of matrices as the model's blocks have it."""

REPEATS, ROUNDS = 50, 5


def quicker() -> torch.dtype:
    """bfloat16 or float32, by the time that one thread takes for products of matrices.

    AMD's Zen 5 is quicker in bfloat16. Intel's Emerald Rapids without its AMX, as virtual machines show it, is half as
    quick in bfloat16 as in float32, and a step of the training takes 1.6 times as long.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return min((torch.bfloat16, torch.float32), key=_seconds)
    finally:
        torch.set_num_threads(threads)


def _seconds(dtype: torch.dtype) -> float:
    left, right = torch.ones(ROWS, INNER, dtype=dtype), torch.ones(INNER, COLUMNS, dtype=dtype)
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(REPEATS):
            left @ right
        best = min(best, time.perf_counter() - began)
    return best

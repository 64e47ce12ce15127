"""Quantised blocks against what the format can hold, and against ggml's own code."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from models.blocks import BLOCK, from_q5_1, from_q8_0, to_f16, to_q5_1, to_q8_0
from tests.models.reference import library, quantise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.blocks import Floats

    Store = Callable[[Floats], bytes]
    Restore = Callable[[bytes], Floats]

Doubles: TypeAlias = NDArray[np.float64]

HALF_ERROR = 2.0**-11
"""Relative error of a number in half precision."""
HALF_LEAST = 2.0**-25
"""Absolute error of one that is too small for its full precision."""
FLOAT_ERROR = 2.0**-22
"""Relative error of a few operations in float32."""

HALF_MAX = 65_504.0
"""The largest in half precision."""

numbers = st.floats(-HALF_MAX, HALF_MAX, width=32)
weights = st.floats(-4, 4, width=32)
halves = st.lists(st.integers(-254, 254), min_size=BLOCK - 1, max_size=BLOCK - 1).map(
    lambda doubled: np.array([254, *doubled], np.float32) / np.float32(2)
)
"""Blocks that q8_0 stores with a scale of one, so that halves must be rounded."""
blocks = halves | st.integers(1, 4).flatmap(
    lambda count: arrays(np.float32, count * BLOCK, elements=st.sampled_from([numbers, weights]).flatmap(lambda x: x))
)
formats = pytest.mark.parametrize(("store", "restore", "size"), [(to_q8_0, from_q8_0, 34), (to_q5_1, from_q5_1, 24)])


def half(values: Doubles) -> Doubles:
    """What may be lost by keeping these in half precision."""
    lost: Doubles = np.maximum(np.abs(values) * HALF_ERROR, HALF_LEAST)
    return lost


@settings(deadline=None, max_examples=60)
@given(blocks)
def test_q8_0_is_off_by_half_a_step_at_most(given_numbers: Floats) -> None:
    rows = given_numbers.astype(np.float64).reshape(-1, BLOCK)
    step = np.abs(rows).max(axis=1, keepdims=True) / 127
    bound = step / 2 + 127 * half(step) + np.abs(rows) * FLOAT_ERROR
    back = from_q8_0(to_q8_0(given_numbers)).reshape(-1, BLOCK)
    assert (np.abs(back - rows) <= bound).all()


@settings(deadline=None, max_examples=60)
@given(blocks)
def test_q5_1_is_off_by_half_a_step_at_most(given_numbers: Floats) -> None:
    rows = given_numbers.astype(np.float64).reshape(-1, BLOCK)
    least = rows.min(axis=1, keepdims=True)
    span = rows.max(axis=1, keepdims=True) - least
    bound = span / 31 / 2 + 31 * half(span / 31) + half(least) + (span + np.abs(least)) * FLOAT_ERROR
    back = from_q5_1(to_q5_1(given_numbers)).reshape(-1, BLOCK)
    assert (np.abs(back - rows) <= bound).all()


@formats
def test_zeros_and_what_is_as_small_as_nothing_stay_zero(store: Store, restore: Restore, size: int) -> None:
    for value in (0.0, -0.0, 1e-45, -1e-40):
        data = store(np.full(2 * BLOCK, value, np.float32))
        assert len(data) == 2 * size
        assert not restore(data).any()


@formats
def test_blocks_do_not_touch_each_other(store: Store, restore: Restore, size: int) -> None:
    rng = np.random.default_rng(1)
    small, large = rng.normal(0, 1e-3, BLOCK).astype(np.float32), rng.normal(0, 1e3, BLOCK).astype(np.float32)
    both = store(np.concatenate([small, large]))
    assert both == store(small) + store(large)
    assert np.array_equal(restore(both), np.concatenate([restore(both[:size]), restore(both[size:])]))


@pytest.mark.parametrize("store", [to_q8_0, to_q5_1, to_f16])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@settings(deadline=None, max_examples=60)
@given(place=st.integers(0, BLOCK - 1))
def test_what_is_not_finite_is_refused(store: Store, value: float, place: int) -> None:
    values = np.ones(BLOCK, np.float32)
    values[place] = value
    with pytest.raises(ValueError, match=r"not finite|cannot hold"):
        store(values)


@pytest.mark.parametrize("store", [to_q8_0, to_q5_1, to_f16])
@pytest.mark.parametrize(("low", "high"), [(0, 3e38), (-3e38, 3e38), (-1e8, 0)])
def test_what_half_precision_cannot_hold_is_refused(store: Store, low: float, high: float) -> None:
    with pytest.raises(ValueError, match="that half precision cannot hold"):
        store(np.linspace(low, high, BLOCK, dtype=np.float32))


def test_extremes_that_a_block_can_hold_are_held() -> None:
    top = np.float32(HALF_MAX * 127)
    assert from_q8_0(to_q8_0(np.full(BLOCK, top))) == pytest.approx(top, rel=1e-6)
    span = np.where(np.arange(BLOCK) % 2, HALF_MAX, -HALF_MAX).astype(np.float32)
    assert from_q5_1(to_q5_1(span)) == pytest.approx(span, rel=1e-3)


@pytest.fixture(scope="module")
def ggml() -> Path:
    path = library()
    if path is None:
        pytest.skip("these bindings have ggml within themselves")
    return path


@pytest.mark.parametrize(
    ("store", "restore", "size", "name"), [(to_q8_0, from_q8_0, 34, "q8_0"), (to_q5_1, from_q5_1, 24, "q5_1")]
)
@settings(deadline=None, max_examples=60)
@given(values=blocks)
def test_the_bits_are_those_of_ggml(  # noqa: PLR0913, PLR0917 - two formats, two directions
    ggml: Path, store: Store, restore: Restore, size: int, name: str, values: Floats
) -> None:
    data, back = quantise(ggml, name, values, len(values) // BLOCK * size)
    assert store(values) == data
    assert np.array_equal(restore(data), back)

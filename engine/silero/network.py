"""Silero's network (version 6.2, 16 kHz): how likely it is that a frame holds speech, from it and what went before.

Short-time spectrum, four convolutions, an LSTM, one sigmoid. As there are only four columns of the spectrum to a frame,
the convolutions are products of matrices. Source: github.com/snakers4/silero-vad, its ONNX files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]

WEIGHTS: Final = Path(__file__).with_name("weights.npz")

CONTEXT: Final = 64
"""Samples of the frame before that are heard again."""

HOP: Final = 128
"""Samples from one column of the spectrum to the next; each is of twice as many."""

WIDTH: Final = 128
"""Features of the LSTM."""

HANN: Final = np.hanning(2 * HOP + 1)[:-1].astype(np.float32)


class Weights(NamedTuple):
    """Float32, laid out for a row of features from the left: (features in, features out), taps one after another."""

    first: Array
    first_bias: Array
    second: Array
    second_bias: Array
    third: Array
    third_bias: Array
    fourth: Array
    fourth_bias: Array
    recurrent: Array
    recurrent_bias: Array
    last: Array
    last_bias: Array


class State(NamedTuple):
    """What is remembered from one frame to the next: `CONTEXT` samples, and `WIDTH` features of the LSTM twice."""

    context: Array
    hidden: Array
    cell: Array


SILENCE: Final = State(np.zeros(CONTEXT, np.float32), np.zeros(WIDTH, np.float32), np.zeros(WIDTH, np.float32))
"""Where a stream begins."""


class Network:
    """The weights, 1 MB for any number of streams. Reads them when it is made.

    It hears one frame at a time: the products are then so small that OpenBLAS does them in the calling thread. Three
    frames at once set its other threads spinning, for more than 1 ms a frame instead of 0.05.
    """

    def __init__(self) -> None:
        with np.load(WEIGHTS) as file:
            self._weights = Weights(**file)

    def step(self, state: State, frame: Array) -> tuple[float, State]:
        """The probability, 0 to 1, that `frame` (`types.FRAME` samples, -1 to 1) holds speech; and the next state."""
        weights = self._weights
        features = _relu(_columns(state.context, frame) @ weights.first + weights.first_bias)
        padded = np.zeros((6, features.shape[1]), np.float32)
        padded[1:5] = features
        pairs = np.concatenate((padded[0:3], padded[2:5])).reshape(2, -1)  # a stride of two columns: every other one
        features = _relu(pairs @ weights.second + weights.second_bias)
        features = _relu(features.ravel() @ weights.third + weights.third_bias)
        features = _relu(features @ weights.fourth + weights.fourth_bias)
        gates = np.concatenate((features, state.hidden)) @ weights.recurrent + weights.recurrent_bias
        entry, forget, _, out = _sigmoid(gates).reshape(4, WIDTH)
        cell = forget * state.cell + entry * np.tanh(gates[2 * WIDTH : 3 * WIDTH])
        hidden = out * np.tanh(cell)
        probability = _sigmoid(_relu(hidden) @ weights.last + weights.last_bias)
        return float(probability[0]), State(frame[-CONTEXT:].copy(), hidden, cell)


def _columns(context: Array, frame: Array) -> Array:
    """The magnitudes of the spectrum: four columns, each between its neighbours."""
    heard = np.concatenate((context, frame, frame[-2 : -CONTEXT - 2 : -1])).reshape(5, HOP)  # mirrored at its end
    columns = np.zeros((6, HOP + 1), np.float32)
    columns[1:5] = np.abs(np.fft.rfft(np.concatenate((heard[:4], heard[1:]), axis=1) * HANN))
    return np.concatenate((columns[:4], columns[1:5], columns[2:]), axis=1)


def _relu(features: Array) -> Array:
    return np.maximum(features, 0)


def _sigmoid(features: Array) -> Array:
    doubled: Array = np.tanh(features * np.float32(0.5)) + np.float32(1)  # tanh does not overflow as exp does
    return doubled * np.float32(0.5)

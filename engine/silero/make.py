"""Make `weights.npz` of the file that Silero publishes: `python -m engine.silero.make silero_vad_16k_op15.onnx`.

The file is in the package silero-vad 6.2.3, the package onnx reads it. (`silero_vad_16k.safetensors`, which lies beside
it, holds the weights of another version.)
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from engine.silero.network import WEIGHTS, Weights

if TYPE_CHECKING:
    from engine.silero.network import Array


def read(file: Path) -> dict[str, Array]:
    """All tensors of the file by name, without its "model." before it."""
    tensors = onnx.load(file).graph.initializer
    return {tensor.name.removeprefix("model."): onnx.numpy_helper.to_array(tensor) for tensor in tensors}


def convert(tensors: dict[str, Array]) -> Weights:
    """Lay the tensors out for products with rows, and drop what meets only zeros: one frame has few columns.

    The spectrum needs none: its kernels are a Fourier transform under a Hann window.
    """
    first, second, third, fourth = (
        tensors[f"encoder.{number}.reparam_conv.weight"].transpose(2, 1, 0) for number in range(4)
    )
    recurrent = np.concatenate([tensors["decoder.rnn.weight_ih"], tensors["decoder.rnn.weight_hh"]], axis=1)
    return Weights(
        first=first.reshape(-1, first.shape[2]),
        first_bias=tensors["encoder.0.reparam_conv.bias"],
        second=second.reshape(-1, second.shape[2]),
        second_bias=tensors["encoder.1.reparam_conv.bias"],
        third=third[1:].reshape(-1, third.shape[2]),
        third_bias=tensors["encoder.2.reparam_conv.bias"],
        fourth=fourth[1],
        fourth_bias=tensors["encoder.3.reparam_conv.bias"],
        recurrent=recurrent.T,
        recurrent_bias=tensors["decoder.rnn.bias_ih"] + tensors["decoder.rnn.bias_hh"],
        last=tensors["decoder.decoder.2.weight"].ravel(),
        last_bias=tensors["decoder.decoder.2.bias"],
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m engine.silero.make", description=__doc__)
    parser.add_argument("file", type=Path)
    weights = convert(read(parser.parse_args().file))
    arrays = {name: np.ascontiguousarray(array) for name, array in weights._asdict().items()}
    np.savez_compressed(WEIGHTS, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main()

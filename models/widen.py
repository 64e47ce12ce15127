"""Models with the compute of OpenAI's tiny, base and small, and the transcripts of the model that comes along.

The model that comes along is small, so what it costs says little of what a user's own model will cost. Here every
feature of it is copied `r` times (function-preserving widening: Chen et al. 2016, Net2Net), and idle layers are put
below the trained ones, until its tensors have exactly the shapes of the larger model. It then does the larger model's
arithmetic, and says what it said before.

What keeps the function:
- A matrix becomes r x r blocks of itself; the blocks that read copy j of the input are scaled by share j. The shares
  are powers of two that sum to one, so that not one weight is rounded, in f16 either.
- Vectors and embeddings are repeated; so a layer norm sees the same mean and variance. Heads keep their 64 features
  and become r times as many.
- The output projection is tied to the token embedding and would say everything r times as loud: the last layer norm
  carries the shares instead.
- An idle layer is a copy of the lowest trained one whose output projections are zero, so it adds nothing to the
  residual. It lies below the trained layers, so that the last layers, which word times are read from, are trained ones.

`python -m models.widen --help` makes one.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import struct
import sys
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from engine.errors import ModelError
from models.appearing import appearing
from models.ggml import MAGIC, check
from models.library import BUNDLED, find

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Array: TypeAlias = NDArray[np.floating[Any]]

FORMAT: Final = 1
"""Part of the cached files' names; raised when the same source gives other files."""

DTYPES: Final[dict[int, type[np.float32 | np.float16]]] = {0: np.float32, 1: np.float16}
"""The tensor types that can be widened. A widened file can be quantised (`models.quantize`)."""

HEAD: Final = 64
"""Features a head in every Whisper model."""

BLOCK: Final = re.compile(r"(encoder|decoder)\.blocks\.(\d+)\.(.+)")
OUTPUTS: Final = ("attn.out.", "cross_attn.out.", "mlp.2.")
"""What a layer adds to the residual comes out of these."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Features, and layers in the encoder as in the decoder."""

    width: int
    layers: int


SHAPES: Final = {"tiny-cost": Shape(384, 4), "base-cost": Shape(512, 6), "small-cost": Shape(768, 12)}
"""Table 1 of Radford et al. 2022 (Whisper)."""


def cached(name: str, *, folder: Path | None = None) -> Path:
    """The file of `tiny-cost`, `base-cost` or `small-cost`, made from the bundled model when there is none yet.

    It lies in `folder`, or else in the user's cache folder. Raises `ModelError` for another name, or if the bundled
    model is wider or deeper than the one wanted.
    """
    if name not in SHAPES:
        raise ModelError(f"There is no shape {name!r}; there are {', '.join(SHAPES)}.")
    source = find(BUNDLED).path
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    folder = folder or user_cache_path("trioscribe") / "models"
    target = folder / f"{digest}-{FORMAT}" / f"ggml-{BUNDLED}-{name}.bin"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        widen(source, target, SHAPES[name])
    return target


def widen(source: Path, target: Path, shape: Shape) -> None:
    """Write a model of this shape that says what `source` says. `target` appears when it is complete.

    Raises `ModelError` if `source` is no sound f16 or f32 model, or the shape is no multiple of its width or has
    fewer layers.
    """
    with appearing(target) as out:
        write_widened(source, out, shape)


def write_widened(source: Path, out: BinaryIO, shape: Shape) -> None:
    """Do as `widen` does, to a file that is open."""
    header = check(source)
    copies, rest = divmod(shape.width, header.n_audio_state)
    if rest or header.n_audio_state != header.n_text_state or header.n_audio_state != HEAD * header.n_audio_head:
        raise ModelError(f"A model of width {header.n_audio_state} cannot be widened to {shape.width}.")
    idle = {"encoder": shape.layers - header.n_audio_layer, "decoder": shape.layers - header.n_text_layer}
    if min(idle.values()) < 0:
        raise ModelError(f"A model of {header.n_audio_layer} + {header.n_text_layer} layers is deeper than wanted.")
    wide = replace(
        header,
        n_audio_state=shape.width,
        n_text_state=shape.width,
        n_audio_head=header.n_audio_head * copies,
        n_text_head=header.n_text_head * copies,
        n_audio_layer=shape.layers,
        n_text_layer=shape.layers,
    )
    with source.open("rb") as file:
        out.write(struct.pack("<12i", MAGIC, *astuple(wide)))
        _copy_front(file, out)
        for name, data in _tensors(file):
            for new_name, new_data in _placed(name, data, idle):
                _write(out, new_name, _widened(new_name, new_data, shares(copies)))


def shares(copies: int) -> tuple[float, ...]:
    """As many powers of two, which sum to one: what of a feature each of its copies carries."""
    parts = [1.0]
    while len(parts) < copies:
        half = parts.pop(parts.index(max(parts))) / 2
        parts += [half, half]
    return tuple(parts)


def _widened(name: str, data: Array, parts: Sequence[float]) -> Array:
    """A tensor in numpy's order: (output, input) for matrices, (output, input, kernel) for convolutions."""
    copies = len(parts)
    if name.endswith(("positional_embedding", "token_embedding.weight")):
        return np.tile(data, (1, copies))
    if name in {"decoder.ln.weight", "decoder.ln.bias"}:
        return np.concatenate([data * data.dtype.type(part) for part in parts])
    outputs: Array = np.concatenate([data] * copies, axis=0)
    if data.ndim == 1 or name == "encoder.conv1.weight" or name.endswith(".bias"):
        return outputs  # the first convolution reads the mel bands, which stay as many as they were
    return np.concatenate([outputs * data.dtype.type(part) for part in parts], axis=1)


def _placed(name: str, data: Array, idle: dict[str, int]) -> Iterator[tuple[str, Array]]:
    """The tensor under the name of its new layer, and one for each idle layer if it is of the lowest."""
    match = BLOCK.fullmatch(name)
    if match is None:
        yield name, data
        return
    side, layer, part = match[1], int(match[2]), match[3]
    yield f"{side}.blocks.{layer + idle[side]}.{part}", data
    if layer == 0:
        for below in range(idle[side]):
            yield f"{side}.blocks.{below}.{part}", np.zeros_like(data) if part.startswith(OUTPUTS) else data


def _copy_front(file: BinaryIO, out: BinaryIO) -> None:
    """What lies between the header and the tensors: mel filters and vocabulary, unchanged."""
    file.seek(struct.calcsize("<12i"))
    n_mel, n_fft = struct.unpack("<2i", file.read(8))
    out.write(struct.pack("<2i", n_mel, n_fft) + file.read(n_mel * n_fft * 4))
    (tokens,) = struct.unpack("<i", file.read(4))
    out.write(struct.pack("<i", tokens))
    for _ in range(tokens):
        length = file.read(4)
        out.write(length + file.read(*struct.unpack("<I", length)))


def _tensors(file: BinaryIO) -> Iterator[tuple[str, Array]]:
    while front := file.read(12):
        dims, name_length, kind = struct.unpack("<3i", front)
        extents = struct.unpack(f"<{dims}i", file.read(4 * dims))[::-1]
        name = file.read(name_length).decode()
        if kind not in DTYPES:
            raise ModelError(f"Only f16 and f32 models can be widened, and {name} is quantised.")
        dtype = np.dtype(DTYPES[kind])
        count = int(np.prod(extents))
        yield name, np.frombuffer(file.read(count * dtype.itemsize), dtype).reshape(extents)


def _write(out: BinaryIO, name: str, data: Array) -> None:
    kind = next(kind for kind, dtype in DTYPES.items() if data.dtype == dtype)
    encoded = name.encode()
    out.write(struct.pack("<3i", data.ndim, len(encoded), kind))
    out.write(struct.pack(f"<{data.ndim}i", *data.shape[::-1]) + encoded)
    out.write(np.ascontiguousarray(data).tobytes())


def main() -> int:
    """Run from the command line; prints where the model lies."""
    parser = argparse.ArgumentParser(
        prog="python -m models.widen",
        description="Make a model at the cost of OpenAI's tiny, base or small that says what the bundled one says.",
    )
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--to", type=Path, metavar="FILE", help="where to write it (default: the cache folder)")
    parser.add_argument("--source", type=Path, metavar="FILE", help="ggml file to widen (default: the bundled model)")
    arguments = parser.parse_args()
    if arguments.source and not arguments.to:
        parser.error("--source needs --to")
    try:
        if arguments.to:
            widen(arguments.source or find(BUNDLED).path, arguments.to, SHAPES[arguments.shape])
        path = arguments.to or cached(arguments.shape)
    except (ModelError, OSError) as error:
        print(f"models.widen: {error}", file=sys.stderr)  # noqa: T201 - this is the program's output
        return 1
    print(path)  # noqa: T201 - likewise
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Widened models: the shapes of larger ones, and the words of the one that comes along."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import pytest

from engine.errors import ModelError
from models.architecture import Header, tensors
from models.catalog import entry
from models.ggml import check, read
from models.library import BUNDLED, find
from models.quantize import quantize
from models.widen import SHAPES, Shape, cached, shares, widen, write_widened
from tests.models.ggmlfile import SMALL, front, small_tensors, write_small
from tests.models.transcripts import heard_in

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Buffer

REAL: Final = find(BUNDLED).path
CLIPS: Final = ("en-door", "en-number", "en-coffee", "de-buch", "de-nummer")

# As OpenAI published them, and as whisper.cpp prints them when it loads them.
TINY: Final = Header(51_865, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 1)
BASE: Final = Header(51_865, 1500, 512, 8, 6, 448, 512, 8, 6, 80, 1)
SMALL_OF_OPENAI: Final = Header(51_865, 1500, 768, 12, 12, 448, 768, 12, 12, 80, 1)

LONG: Final = 1 << 16
"""Bytes of a tensor's data that nobody looks at."""


@pytest.fixture(scope="module")
def tiny_cost(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cached("tiny-cost", folder=tmp_path_factory.mktemp("cache"))


def assert_alike(widened: Path) -> None:
    """That it says the same words, and is as sure of them but for what rounding does."""
    said, says = heard_in(REAL, CLIPS), heard_in(widened, CLIPS)
    assert all(said.values())
    assert [word.text for name in CLIPS for word in says[name]] == [word.text for name in CLIPS for word in said[name]]
    assert [word.confidence for name in CLIPS for word in says[name]] == pytest.approx(
        [word.confidence for name in CLIPS for word in said[name]], abs=0.01
    )


def test_the_widened_model_says_what_the_bundled_one_says(tiny_cost: Path) -> None:
    assert_alike(tiny_cost)


def test_idle_layers_change_nothing(tmp_path: Path) -> None:
    header = check(REAL)
    layers = max(header.n_audio_layer, header.n_text_layer) + 2
    widen(REAL, tmp_path / "deep.bin", Shape(header.n_audio_state, layers))
    assert check(tmp_path / "deep.bin").n_text_layer == layers
    assert_alike(tmp_path / "deep.bin")


def test_it_has_the_shapes_of_tiny_to_the_byte(tiny_cost: Path) -> None:
    layout = read(tiny_cost)
    assert layout.header == TINY
    assert tiny_cost.stat().st_size == entry("tiny").bytes == 77_691_713
    assert {tensor.name: tensor.form for tensor in layout.tensors} == tensors(TINY)


@pytest.mark.parametrize("name", ["q8_0", "q5_1"])
def test_quantised_it_has_the_size_of_the_published_file(name: str, tiny_cost: Path, tmp_path: Path) -> None:
    quantize(tiny_cost, tmp_path / "out.bin", name)
    assert (tmp_path / "out.bin").stat().st_size == entry(f"tiny-{name}").bytes


class Holes(io.FileIO):
    """A file in which what is long takes no room; the structure of a model is made of what is short."""

    def write(self, data: Buffer) -> int:
        length = len(memoryview(data))
        if length < LONG:
            return super().write(data)
        self.truncate(self.seek(length, io.SEEK_CUR))
        return length


@pytest.mark.parametrize(
    ("name", "header", "like"), [("base-cost", BASE, "base"), ("small-cost", SMALL_OF_OPENAI, "small")]
)
def test_the_larger_shapes_are_those_of_base_and_small_to_the_byte(
    name: str, header: Header, like: str, tmp_path: Path
) -> None:
    path = tmp_path / "large.bin"
    with Holes(path, "wb") as out:
        write_widened(REAL, cast("BinaryIO", out), SHAPES[name])
    assert check(path) == header
    assert path.stat().st_size == entry(like).bytes


def test_a_file_that_is_there_is_not_made_again(tiny_cost: Path) -> None:
    before = tiny_cost.stat()
    assert cached("tiny-cost", folder=tiny_cost.parent.parent) == tiny_cost
    assert tiny_cost.stat() == before


def test_it_is_a_demonstration_like_the_one_that_it_is_made_of(tiny_cost: Path) -> None:
    model, bundled = find(str(tiny_cost)), find(BUNDLED)
    assert model.demonstration
    assert model.audio_ctx_floor == bundled.audio_ctx_floor


def test_what_cannot_be_widened_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    source = write_small(tmp_path / "small.bin")
    quantize(source, tmp_path / "q8_0.bin", "q8_0")
    deep = tmp_path / "deep.bin"
    header = replace(SMALL, n_text_layer=5)
    deep.write_bytes(front(header) + b"".join(small_tensors(header).values()))
    here = set(tmp_path.iterdir())
    for path, shape, said in (
        (tmp_path / "q8_0.bin", SHAPES["tiny-cost"], "Only f16 and f32 models can be widened, and "),
        (deep, SHAPES["tiny-cost"], "is deeper than wanted"),
        (source, Shape(96, 4), "A model of width 64 cannot be widened to 96."),
        (tmp_path / "none.bin", SHAPES["tiny-cost"], "There is no model file"),
    ):
        with pytest.raises(ModelError, match=said):
            widen(path, tmp_path / "out.bin", shape)
    assert set(tmp_path.iterdir()) == here
    with pytest.raises(ModelError, match="There is no shape 'huge'; there are tiny-cost, base-cost, small-cost"):
        cached("huge")


def test_the_program_prints_the_path_or_what_is_wrong(tmp_path: Path) -> None:
    source = write_small(tmp_path / "small.bin")
    program = [sys.executable, "-m", "models.widen", "tiny-cost", "--source", str(source), "--to"]
    done = subprocess.run([*program, str(tmp_path / "out.bin")], capture_output=True, text=True, check=True)  # noqa: S603 - this program
    assert done.stdout == f"{tmp_path / 'out.bin'}\n"
    assert check(tmp_path / "out.bin") == replace(TINY, n_vocab=SMALL.n_vocab)
    failed = subprocess.run([*program, str(tmp_path / "none" / "out.bin")], capture_output=True, text=True, check=False)  # noqa: S603 - this program
    assert failed.returncode == 1
    assert failed.stderr.startswith("models.widen: ")
    assert failed.stderr.count("\n") == 1


@pytest.mark.parametrize(("copies", "parts"), [(1, [1]), (2, [0.5] * 2), (3, [0.25, 0.25, 0.5]), (4, [0.25] * 4)])
def test_shares_are_powers_of_two_that_sum_to_one(copies: int, parts: list[float]) -> None:
    assert sorted(shares(copies)) == parts

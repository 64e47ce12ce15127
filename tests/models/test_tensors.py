"""A file whose tensors are not those of its header is refused."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import ModelError
from engine.types import Window
from engine.whisper import Decoding, WhisperRecognizer
from models.ggml import check
from tests.models.ggmlfile import SMALL, TOKENS, front, small_tensors, tensor_header, write_small

if TYPE_CHECKING:
    from pathlib import Path


def refusal(path: Path, tensors: dict[str, bytes], beginning: bytes = b"") -> str:
    path.write_bytes((beginning or front()) + b"".join(tensors.values()))
    with pytest.raises(ModelError) as caught:
        check(path)
    return str(caught.value)


def test_the_smallest_model_is_accepted_and_whisper_cpp_runs_it(tmp_path: Path) -> None:
    path = write_small(tmp_path / "small.bin")
    assert check(path) == SMALL
    with closing(WhisperRecognizer(path, Decoding())) as recognizer:
        window = Window(np.zeros(16_000, np.float32), 0, "en")
        recognizer.recognize(window, threads=1, should_abort=lambda: False)


@pytest.mark.parametrize("name", ["decoder.ln.bias", "encoder.conv1.weight", "decoder.blocks.0.cross_attn.key.weight"])
def test_a_missing_tensor_is_named(name: str, tmp_path: Path) -> None:
    tensors = small_tensors()
    del tensors[name]
    said = refusal(tmp_path / "missing.bin", tensors)
    assert f"1 tensors are missing from it, the first of them {name}" in said


def test_a_tensor_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    tensors = small_tensors()
    said = refusal(tmp_path / "twice.bin", {**tensors, "again": tensors["decoder.ln.bias"]})
    assert "or there twice: 'decoder.ln.bias'" in said


@pytest.mark.parametrize("name", ["decoder.ln.gamma", "encoder.blocks.1.mlp.0.bias", "encoder.blocks.0.attn.key.bias"])
def test_a_foreign_tensor_is_refused(name: str, tmp_path: Path) -> None:
    foreign = tensor_header(name, (64,), 0) + bytes(4 * 64)
    assert f"none of a Whisper model, or there twice: '{name}'" in refusal(
        tmp_path / "foreign.bin", {**small_tensors(), name: foreign}
    )


@pytest.mark.parametrize(
    ("extents", "kind", "length"),
    [
        ((65,), 0, 4 * 65),
        ((64, 1), 0, 4 * 64),
        ((1, 64), 0, 4 * 64),
        ((64,), 1, 2 * 64),
        ((2**31 - 1,), 0, 4 * 64),
        ((-64,), 0, 4 * 64),
        ((64,), 30, 4 * 64),
    ],
)
def test_a_tensor_of_another_form_is_refused(extents: tuple[int, ...], kind: int, length: int, tmp_path: Path) -> None:
    name = "decoder.ln.bias"
    changed = {**small_tensors(), name: tensor_header(name, extents, kind) + bytes(length)}
    said = refusal(tmp_path / "form.bin", changed)
    assert f"{name} has extents {extents} and type {kind}, not (64,) and 0" in said


def test_a_tensor_that_is_cut_off_is_named(tmp_path: Path) -> None:
    tensors = small_tensors()
    last = list(tensors)[-1]
    said = refusal(tmp_path / "cut.bin", {**tensors, last: tensors[last][:-1]})
    assert f"it ends in the middle of {last}" in said


def test_more_layers_in_the_header_than_in_the_file_are_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path / "layers.bin", small_tensors(), front(replace(SMALL, n_text_layer=2)))
    assert "tensors are missing from it, the first of them decoder.blocks.1." in said


def test_mel_filters_of_another_spectrum_are_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path / "mels.bin", small_tensors(), front().replace(b"\xc9\0\0\0", b"\xca\0\0\0", 1))
    assert "its mel filters do not fit its header" in said


@pytest.mark.parametrize("count", [0, SMALL.n_vocab + 1])
def test_a_vocabulary_that_does_not_fit_the_header_is_refused(count: int, tmp_path: Path) -> None:
    said = refusal(tmp_path / "words.bin", small_tensors(), front(tokens=[b" "] * count))
    assert f"its vocabulary claims {count} tokens" in said


def test_a_vocabulary_without_a_blank_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path / "words.bin", small_tensors(), front(tokens=[b" the", b"  ", b""]))
    assert "its vocabulary has no blank" in said


def test_a_vocabulary_may_leave_out_special_tokens(tmp_path: Path) -> None:
    path = tmp_path / "words.bin"
    path.write_bytes(front(tokens=[*TOKENS, b"", b" " * 128]) + b"".join(small_tensors().values()))
    assert check(path) == SMALL

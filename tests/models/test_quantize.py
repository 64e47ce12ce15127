"""Quantised files: what whisper.cpp hears with them, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import ModelError
from models.architecture import Kind
from models.blocks import from_q5_1, from_q8_0
from models.ggml import check, read
from models.library import BUNDLED, find
from models.quantize import quantize
from server.cli import main
from tests.models.ggmlfile import SMALL, front, small_tensors, write_small
from tests.models.transcripts import differences, transcripts

if TYPE_CHECKING:
    from pathlib import Path

    from models.blocks import Floats
    from models.ggml import Layout
    from tests.models.transcripts import Words

Output = pytest.CaptureFixture[str]

REAL = find(BUNDLED).path
FORMATS = ("q8_0", "q5_1")
formats = pytest.mark.parametrize("name", FORMATS)


@pytest.fixture(scope="module")
def as_bundled() -> dict[str, Words]:
    return transcripts(REAL)


@formats
def test_not_a_word_changes_by_it(name: str, tmp_path: Path, as_bundled: dict[str, Words]) -> None:
    quantize(REAL, tmp_path / "out.bin", name)
    header = check(tmp_path / "out.bin")
    assert header.kind.name.lower() == name
    assert replace(header, ftype=1) == check(REAL)
    # On longer audio a few change: in 400 s of conversation, 6 of 958 words in q8_0 and 18 in q5_1.
    heard = transcripts(tmp_path / "out.bin")
    assert sum(len(words) for words in as_bundled.values()) > 80
    assert differences(heard, as_bundled) == 0


def numbers(path: Path, layout: Layout, name: str) -> Floats:
    tensor = next(tensor for tensor in layout.tensors if tensor.name == name)
    data = path.read_bytes()[tensor.data_at : tensor.data_at + tensor.form.size]
    match tensor.form.kind:
        case Kind.Q8_0:
            return from_q8_0(data)
        case Kind.Q5_1:
            return from_q5_1(data)
        case kind:
            return np.frombuffer(data, "<f2" if kind is Kind.F16 else "<f4").astype(np.float32)


@formats
@pytest.mark.parametrize("ftype", [0, 1])
def test_matrices_are_quantised_and_the_rest_stays_as_it_is(name: str, ftype: int, tmp_path: Path) -> None:
    header = replace(SMALL, ftype=ftype)
    source, target = tmp_path / "in.bin", tmp_path / "out.bin"
    source.write_bytes(front(header) + b"".join(small_tensors(header).values()))
    quantize(source, target, name)
    before, after = read(source), read(target)
    assert [tensor.name for tensor in after.tensors] == [tensor.name for tensor in before.tensors]
    step = 0.11 / 127 if name == "q8_0" else 0.22 / 31  # no number of the file is beyond 0.11
    for tensor in after.tensors:
        was, became = numbers(source, before, tensor.name), numbers(target, after, tensor.name)
        matrix = len(tensor.form.extents) == 2 and not tensor.name.endswith(("positional_embedding", ".bias"))
        if matrix:
            assert tensor.form.kind.name.lower() == name
            assert np.abs(was - became).max() <= step / 2
        elif tensor.form.kind is Kind.F16:
            assert np.array_equal(was.astype(np.float16), became.astype(np.float16))
        else:
            assert np.array_equal(was, became)


@formats
def test_a_model_of_numbers_that_do_not_fit_is_refused_and_nothing_is_left(name: str, tmp_path: Path) -> None:
    tensors = small_tensors()
    spoilt = "decoder.blocks.0.attn.key.weight"
    tensors[spoilt] = tensors[spoilt][:-2] + b"\0\x7c"  # infinity
    source = tmp_path / "in.bin"
    source.write_bytes(front() + b"".join(tensors.values()))
    with pytest.raises(ModelError, match=f"The tensor {spoilt} cannot be quantised: it has numbers"):
        quantize(source, tmp_path / "out.bin", name)
    assert list(tmp_path.iterdir()) == [source]


def complaint(capsys: Output, *argv: str) -> str:
    assert main(["quantize", *argv]) == 1
    said = capsys.readouterr().err
    assert said.startswith("trioscribe: ")
    assert said.count("\n") == 1
    return said


@formats
def test_the_command_says_what_was_won(name: str, tmp_path: Path, capsys: Output) -> None:
    source = write_small(tmp_path / "in.bin")
    assert main(["quantize", str(source), str(tmp_path / "out.bin"), name]) == 0
    said = capsys.readouterr().out
    size, whole = (tmp_path / "out.bin").stat().st_size, source.stat().st_size
    assert said == f"{tmp_path / 'out.bin'}: {size / 2**20:.1f} MiB, {size / whole:.0%} of {whole / 2**20:.1f} MiB\n"
    again = complaint(capsys, str(tmp_path / "out.bin"), str(tmp_path / "third.bin"), "q5_1")
    assert f"is quantised already ({name}). Start from its f16 file." in again
    assert not (tmp_path / "third.bin").exists()


def test_a_model_can_be_given_by_its_name(tmp_path: Path, capsys: Output) -> None:
    assert main(["quantize", BUNDLED, str(tmp_path / "out.bin"), "q8_0"]) == 0
    assert f"of {REAL.stat().st_size / 2**20:.1f} MiB" in capsys.readouterr().out
    assert "get it with `trioscribe models pull tiny`" in complaint(
        capsys, "tiny", str(tmp_path / "x.bin"), "q8_0", "--models-dir", str(tmp_path)
    )


def test_what_is_there_is_not_overwritten_the_source_least_of_all(tmp_path: Path, capsys: Output) -> None:
    source = write_small(tmp_path / "in.bin")
    before = source.read_bytes()
    (tmp_path / "link.bin").symlink_to(source)
    (tmp_path / "dear.bin").write_text("dear")
    for target in (source, tmp_path / "link.bin", tmp_path / "dear.bin", tmp_path, tmp_path / "." / "in.bin"):
        assert "is there already. Remove it, or name another file." in complaint(
            capsys, str(source), str(target), "q8_0"
        )
    assert source.read_bytes() == before
    assert (tmp_path / "dear.bin").read_text() == "dear"


def test_a_file_that_is_being_pulled_is_not_disturbed(tmp_path: Path) -> None:
    pulled = tmp_path / "out.bin.part"
    pulled.write_text("half a model")
    quantize(write_small(tmp_path / "in.bin"), tmp_path / "out.bin", "q8_0")
    assert pulled.read_text() == "half a model"


def test_a_wrong_source_is_refused(tmp_path: Path, capsys: Output) -> None:
    cut = tmp_path / "cut.bin"
    cut.write_bytes(REAL.read_bytes()[:1_000_000])
    for source, said in ((cut, "is not a whole whisper.cpp model file"), (tmp_path, "is not a file")):
        assert said in complaint(capsys, str(source), str(tmp_path / "out.bin"), "q8_0")
    assert not (tmp_path / "out.bin").exists()


@pytest.mark.parametrize("place", ["none/out.bin", "in.bin/out.bin", "x" * 300])
def test_a_target_that_cannot_be_is_said_to_be_one(place: str, tmp_path: Path, capsys: Output) -> None:
    source = write_small(tmp_path / "in.bin")
    said = complaint(capsys, str(source), str(tmp_path / place), "q8_0")
    assert f"{tmp_path / place} cannot be written: " in said


def test_another_format_is_wrong_usage(capsys: Output) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["quantize", BUNDLED, "out.bin", "q4_0"])
    assert caught.value.code == 2
    assert "q8_0" in capsys.readouterr().err


def test_the_file_can_be_read_by_those_who_could_read_the_source(tmp_path: Path) -> None:
    source = write_small(tmp_path / "in.bin")
    quantize(source, tmp_path / "out.bin", "q8_0")
    plain = tmp_path / "plain"
    plain.touch()
    assert (tmp_path / "out.bin").stat().st_mode == plain.stat().st_mode

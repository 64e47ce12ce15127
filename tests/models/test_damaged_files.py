"""A file that is no whole model is refused with the reason, before native code sees it."""

from __future__ import annotations

import io
import os
import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.errors import ModelError
from models.ggml import check, read
from models.library import BUNDLED, find
from server.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

REAL = find(BUNDLED).path
SIZE = REAL.stat().st_size
LAYOUT = read(REAL)

MEL_FILTERS_AT = 48
TOKENS_AT = MEL_FILTERS_AT + 8 + 4 * 80 * 201
FIRST_TENSOR_AT = LAYOUT.tensors[0].header_at
STRUCTURE = [
    *range(4, MEL_FILTERS_AT + 8),
    *range(TOKENS_AT, TOKENS_AT + 8),
    *(at for tensor in LAYOUT.tensors for at in range(tensor.header_at, tensor.data_at)),
]
"""Bytes of the file that say what it is made of."""

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copy(REAL, tmp_path_factory.mktemp("models") / "copy.bin"))


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        check(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def with_bytes(path: Path, at: int, new: bytes, judge: Callable[[Path], str]) -> str:
    """What is said of a file while it has other bytes at a place."""
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(len(new))
        file.seek(at)
        file.write(new)
        file.flush()
        try:
            return judge(path)
        finally:
            file.seek(at)
            file.write(old)


def test_the_bundled_model_is_accepted() -> None:
    header = check(REAL)
    assert header.flaw() is None
    assert header.multilingual
    assert header.n_mels == 80


@same_folder
@example(cut=SIZE - 1)
@given(cut=st.integers(0, SIZE - 1) | st.integers(0, FIRST_TENSOR_AT) | st.sampled_from(STRUCTURE))
def test_a_model_is_refused_wherever_it_is_cut_off(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "cut.bin"
    with REAL.open("rb") as whole:
        path.write_bytes(whole.read(cut))
    said = refusal(path)
    assert "is not a whole whisper.cpp model file" in said
    assert "it ends" in said or "tensors are missing" in said


def test_more_than_a_model_is_refused(tmp_path: Path) -> None:
    path = Path(shutil.copy(REAL, tmp_path / "more.bin"))
    with path.open("ab") as file:
        file.write(b"\0")
    assert "it ends too early" in refusal(path)


@pytest.mark.parametrize(
    "start", [b"GGUF\3\0\0\0", b"PK\3\4archive", b"OggS", b"\x1f\x8b\x08", b"<!doctype html>", b"lmgf", bytes(64)]
)
def test_another_kind_of_file_is_refused(start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.bin"
    path.write_bytes(start.ljust(1 << 12, b"\1"))
    assert "does not begin like one" in refusal(path)


@given(st.binary(max_size=200))
@same_folder
def test_anything_after_the_right_beginning_is_refused(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "any.bin"
    path.write_bytes(b"lmgg" + rest)
    refusal(path)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")  # opening it would wait for a writer
    assert "is not a file" in refusal(tmp_path / "fifo")
    assert "is not a file" in refusal(tmp_path)
    assert "is not a file" in refusal(Path("/dev/zero"))
    assert "There is no model file" in refusal(tmp_path / "none.bin")
    assert "cannot be read" in refusal(tmp_path / ("x" * 300))
    assert "cannot be read" in refusal(REAL / "in-a-file.bin")
    (tmp_path / "empty").touch()
    assert "it ends too early" in refusal(tmp_path / "empty")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    # Nothing is mapped at address 0, so the first read fails, for root as well: chmod would not stop root.
    (tmp_path / "unreadable.bin").symlink_to("/proc/self/mem")
    assert "cannot be read: Input/output error" in refusal(tmp_path / "unreadable.bin")


@same_folder
@given(field=st.integers(0, 10), value=st.integers(-(2**31), 2**31 - 1) | st.integers(-1, 52_000))
def test_every_number_of_the_header_matters(field: int, value: int, copy: Path) -> None:
    at = 4 + 4 * field
    new = struct.pack("<i", value)
    with REAL.open("rb") as file:
        if file.read(at + 4)[at:] == new:
            return
    assert "is not a whole whisper.cpp model file" in with_bytes(copy, at, new, refusal)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        (0, 0, "n_vocab 0"),
        (1, 2**31 - 1, "n_audio_ctx 2147483647"),
        (2, 130, "n_audio_state 130"),
        (3, 0, "n_audio_head 0"),
        (4, -1, "n_audio_layer -1"),
        (8, 33, "n_text_layer 33"),
        (9, 81, "n_mels 81"),
        (10, 14, "of a type (14)"),
        (10, 1007, "outdated format (version 1)"),
        (10, 2001, "outdated format (version 2)"),
        (10, -1, "of a type (-1)"),
    ],
)
def test_a_header_is_refused_for_what_is_wrong_with_it(field: int, value: int, said: str, copy: Path) -> None:
    assert said in with_bytes(copy, 4 + 4 * field, struct.pack("<i", value), refusal)


@pytest.mark.parametrize(
    ("at", "number", "said"),
    [
        (MEL_FILTERS_AT, 2**31 - 1, "mel filters"),
        (MEL_FILTERS_AT + 4, -201, "mel filters"),
        (TOKENS_AT, 2**31 - 1, "claims 2147483647 tokens"),
        (TOKENS_AT, 0, "claims 0 tokens"),
        (TOKENS_AT, 51_000, ""),
        (TOKENS_AT + 4, -1, "claims a token of 4294967295 bytes"),
        (FIRST_TENSOR_AT, 5, "a tensor's header is damaged"),
        (FIRST_TENSOR_AT, 0, "a tensor's header is damaged"),
        (FIRST_TENSOR_AT + 4, 2**31 - 1, "a tensor's header is damaged"),
        (FIRST_TENSOR_AT + 4, -1, "a tensor's header is damaged"),
        (FIRST_TENSOR_AT + 8, 99, "and type 99, not"),
        (FIRST_TENSOR_AT + 12, 2**31 - 1, "has extents (2147483647, "),
    ],
)
def test_claims_of_huge_sizes_are_refused(at: int, number: int, said: str, copy: Path) -> None:
    assert said in with_bytes(copy, at, struct.pack("<i", number), refusal)


def test_a_huge_file_with_a_huge_token_is_refused_before_memory_is_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "sparse.bin"
    with REAL.open("rb") as real:
        path.write_bytes(real.read(TOKENS_AT + 4) + struct.pack("<I", 3 << 30))
    os.truncate(path, 8 << 30)  # takes no room
    assert "claims a token of 3221225472 bytes" in refusal(path)


@same_folder
@given(at=st.sampled_from(STRUCTURE), new=st.binary(min_size=1, max_size=12))
def test_a_damaged_structure_is_refused_or_is_the_same_to_the_bit(at: int, new: bytes, copy: Path) -> None:
    def judge(path: Path) -> str:
        try:
            return "" if read(path) == LAYOUT else "accepted as another model"
        except ModelError as error:
            return "" if "is not a whole whisper.cpp model file" in str(error) else str(error)

    assert with_bytes(copy, at, new, judge) == ""


def test_the_server_does_not_start_with_a_damaged_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "damaged.bin"
    path.write_bytes(REAL.read_bytes()[: SIZE // 2])
    places = ["--port", "0", "--rest-port", "0", "--data-dir", str(tmp_path)]
    assert main(["serve", *places, "--model", str(path)]) == 1
    said = io.StringIO(capsys.readouterr().err).readlines()
    assert len(said) == 1
    assert said[0].startswith(f"trioscribe: {path} is not a whole whisper.cpp model file: ")

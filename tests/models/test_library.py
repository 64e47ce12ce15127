"""From what a user calls a model to the file that is loaded."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest

from engine.errors import ModelError
from models.catalog import catalog, entry
from models.folder import verify
from models.library import ACFT, BUNDLED, OWN, STOCK, TURBO, find, floor_of
from tests.models import trial
from tests.models.ggmlfile import SMALL, write_small

if TYPE_CHECKING:
    from pathlib import Path


def test_the_bundled_model_is_found_by_its_name_and_is_a_demonstration(tmp_path: Path) -> None:
    model = find(BUNDLED, tmp_path)
    assert model.path.is_file()
    assert model.demonstration
    assert model.audio_ctx_floor == OWN
    assert not model.carry_prompt


def test_any_sound_file_is_found_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_small(tmp_path / "ggml-mine.bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for called in (str(path), "~/ggml-mine.bin", "ggml-mine.bin", "./ggml-mine.bin"):
        model = find(called)
        assert model.name == "mine"
        assert model.path.samefile(path)
        assert model.header == SMALL
        assert model.audio_ctx_floor == STOCK
        assert not model.demonstration
    path.rename(tmp_path / "no-suffix")
    assert find("no-suffix").name == "no-suffix"


def test_a_copy_of_the_bundled_model_keeps_what_is_known_of_it(tmp_path: Path) -> None:
    copy = shutil.copy(find(BUNDLED).path, tmp_path / f"ggml-{BUNDLED}-q8_0.bin")
    model = find(str(copy))
    assert model.demonstration
    assert (model.audio_ctx_floor, model.carry_prompt) == (OWN, False)


@pytest.mark.parametrize(
    ("called", "said"),
    [
        ("tiny-q5_1", "Model tiny-q5_1 is not in {folder}: get it with `trioscribe models pull tiny-q5_1`."),
        ("tiny-q5", "There is no model 'tiny-q5'; did you mean tiny-q5_1"),
        ("xyzzy", "There is no model 'xyzzy'; `trioscribe models list` shows what there is."),
        ("xyzzy.bin", "There is no model file xyzzy.bin."),
        ("./xyzzy", "There is no model file xyzzy."),
        ("", ". is not a file. Give the path of a ggml file."),
        ("~nobody-of-this-name/x.bin", "There is no model file ~nobody-of-this-name/x.bin: nobody has that home"),
        ("x" * 300, "cannot be read: File name too long."),
        ("x" * 300 + ".bin", "cannot be read: File name too long."),
        ("a\0b.bin", "is not a whole whisper.cpp model file"),
    ],
)
def test_what_is_not_there_is_refused_with_advice(called: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        find(called, tmp_path)
    assert said.format(folder=tmp_path) in str(caught.value)


def test_a_folder_that_cannot_be_looked_into_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read: File name too long"):
        find("tiny", tmp_path / ("x" * 300))


@pytest.mark.parametrize("elsewhere", [False, True])
def test_another_model_under_the_name_of_a_published_one_is_refused(elsewhere: bool, tmp_path: Path) -> None:
    path = write_small(tmp_path / entry("tiny").file)
    with pytest.raises(ModelError) as caught:
        find(str(path) if elsewhere else "tiny", tmp_path)
    said = str(caught.value)
    assert "has the name of a published model, but it has" in said
    assert "`trioscribe models pull tiny`" in said
    assert "or rename it if it is a model of your own" in said


def test_the_published_file_is_sound_and_a_changed_bit_is_found(tmp_path: Path) -> None:
    path = write_small(tmp_path / "published.bin")
    published = trial.entry(path.read_bytes())
    assert verify(published, path) == SMALL
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    with pytest.raises(ModelError) as caught:
        verify(published, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"its SHA-256 is {digest}, not {published.sha256}" in str(caught.value)


def test_unknown_files_are_used_as_their_names_suggest() -> None:
    assert floor_of("My-ACFT-tune.bin", SMALL) == ACFT
    assert floor_of("ggml-large-v3-turbo-mine.bin", SMALL) == TURBO
    assert floor_of("ggml-base.bin", SMALL) == STOCK


def test_published_models_are_used_as_the_catalog_says() -> None:
    contexts = {each.name: each.audio_ctx_floor for each in catalog()}
    for name, context in contexts.items():
        expected = ACFT if name.startswith("acft-") else TURBO if "turbo" in name else STOCK
        assert context == expected, name

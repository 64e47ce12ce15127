"""`trioscribe models` as a person meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.catalog import catalog, entry
from models.folder import part_of, version_of
from models.library import BUNDLED, find
from models.pull import alone
from server.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from tests.models.mirror import Mirror

NAME = "tiny-q5_1"
FILE = entry(NAME).file

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIOSCRIBE_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("TRIOSCRIBE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("TRIOSCRIBE_CONFIG", raising=False)
    monkeypatch.delenv("TRIOSCRIBE_MODELS_MIRROR", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "models"
    path.mkdir()
    return path


def complaint(capsys: Output, *argv: str) -> str:
    """The one line of a command that fails."""
    assert main(["models", *argv]) == 1
    said = capsys.readouterr().err
    assert said.startswith("trioscribe: ")
    assert said.count("\n") == 1
    return said


def rows(capsys: Output) -> dict[str, list[str]]:
    assert main(["models", "list"]) == 0
    lines = [cells for line in capsys.readouterr().out.splitlines() if (cells := line.split())]
    return {cells[0]: cells for cells in reversed(lines)}  # the table comes before what is said below it


def test_list_has_a_line_for_each_model_and_says_which_are_here(folder: Path, capsys: Output) -> None:
    (folder / entry("tiny").file).write_bytes(bytes(10))
    part_of(folder / FILE).write_bytes(bytes(10))
    (folder / "ggml-own.bin").touch()
    listed = rows(capsys)
    assert {each.name for each in catalog()} <= listed.keys()
    assert listed[BUNDLED][1:3] == ["yes", f"{find(BUNDLED).path.stat().st_size / (1 << 20):.0f}"]
    assert listed["tiny"][1:4] == ["yes", "74", "99"]
    assert listed[NAME][1:4] == ["partly", "31", "99"]
    assert listed["tiny.en-q8_0"][1:3] == ["42", "en"]
    assert listed["Also"][-1] == "ggml-own.bin"


def test_list_works_before_there_is_a_folder_and_says_what_the_bundled_model_is(capsys: Output) -> None:
    assert main(["models", "list"]) == 0
    assert "understands synthetic voices only" in capsys.readouterr().out


def test_path_prints_nothing_but_the_path(folder: Path, capsys: Output) -> None:
    assert main(["models", "path", BUNDLED]) == 0
    assert capsys.readouterr().out == f"{find(BUNDLED).path}\n"
    (folder / FILE).touch()
    assert main(["models", "path", NAME]) == 0
    assert capsys.readouterr().out == f"{folder / FILE}\n"


def test_path_of_a_model_that_is_not_here_says_how_to_get_it(folder: Path, capsys: Output) -> None:
    said = complaint(capsys, "path", NAME)
    assert said == f"trioscribe: Model {NAME} is not in {folder}: get it with `trioscribe models pull {NAME}`.\n"


@pytest.mark.parametrize("action", ["pull", "path", "rm"])
def test_a_name_that_is_not_in_the_catalog_is_refused(action: str, capsys: Output) -> None:
    assert "There is no model 'tinny-q5_1'; did you mean tiny-q5_1" in complaint(capsys, action, "tinny-q5_1")


@pytest.mark.parametrize("action", ["list", "verify", "path", "pull", "rm"])
def test_a_folder_that_cannot_be_is_one_line(
    action: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setenv("TRIOSCRIBE_MODELS_DIR", str(tmp_path / ("x" * 300)))
    assert "File name too long" in complaint(capsys, action, *([] if action in {"list", "verify"} else [NAME]))


def test_rm_deletes_a_model_with_its_leftovers_and_says_what_was_won(folder: Path, capsys: Output) -> None:
    (folder / FILE).write_bytes(bytes(3 << 20))
    part_of(folder / FILE).write_bytes(bytes(1 << 20))
    version_of(folder / FILE).touch()
    (folder / "ggml-own.bin").touch()
    assert main(["models", "rm", NAME]) == 0
    assert capsys.readouterr().out == f"{NAME} deleted: 4.0 MiB are free\n"
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == ["ggml-own.bin"]
    assert complaint(capsys, "rm", NAME) == f"trioscribe: Model {NAME} is not in {folder}.\n"


def test_rm_of_a_model_that_is_being_pulled_is_refused(folder: Path, capsys: Output) -> None:
    (folder / FILE).touch()
    with alone(entry(NAME), folder):
        assert f"Another pull of {NAME} is under way; wait for it." in complaint(capsys, "rm", NAME)
    assert (folder / FILE).exists()


def test_rm_of_several_deletes_none_if_one_name_is_wrong(folder: Path, capsys: Output) -> None:
    (folder / FILE).touch()
    complaint(capsys, "rm", NAME, "xyzzy")
    assert (folder / FILE).exists()


def test_verify_tells_sound_models_from_others(folder: Path, capsys: Output) -> None:
    assert main(["models", "verify"]) == 0
    assert capsys.readouterr().out.startswith(f"{BUNDLED}: sound (")
    (folder / FILE).write_bytes(b"no model")
    assert main(["models", "verify"]) == 1
    output = capsys.readouterr()
    assert len(output.out.splitlines()) == 2
    assert f"{NAME}: {folder / FILE} is not a whole whisper.cpp model file" in output.out
    assert output.err == "trioscribe: 1 of 2 models cannot be used as it is.\n"


def test_verify_of_models_that_are_not_here_fails(capsys: Output) -> None:
    assert main(["models", "verify", "tiny", "xyzzy"]) == 1
    output = capsys.readouterr()
    assert "get it with `trioscribe models pull tiny`" in output.out
    assert "There is no model 'xyzzy'" in output.out
    assert output.err == "trioscribe: 2 of 2 models cannot be used as they are.\n"


def test_pull_asks_the_mirror_and_says_why_it_was_refused(folder: Path, mirror: Mirror, capsys: Output) -> None:
    said = complaint(capsys, "pull", NAME, "--models-mirror", mirror.url)
    assert f"{mirror.url}/{FILE}: another file is there: it has 1500000 bytes, not {entry(NAME).bytes}" in said
    assert mirror.asked == [(f"/models/{FILE}", None)]
    assert not (folder / FILE).exists()


def test_pull_without_a_network_is_one_line_that_says_what_to_do(folder: Path, capsys: Output) -> None:
    said = complaint(capsys, "pull", NAME, "--models-mirror", "http://127.0.0.1:1/")
    assert "127.0.0.1 cannot be reached" in said
    assert f"fetch {entry(NAME).url} on another machine and copy it to {folder}" in said


def test_pull_of_several_begins_with_none_if_one_name_is_wrong(mirror: Mirror, capsys: Output) -> None:
    complaint(capsys, "pull", NAME, "xyzzy", "--models-mirror", mirror.url)
    assert mirror.asked == []

"""The catalog that comes along, and how names are looked up in it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields, replace
from importlib.resources import files

import pytest

from engine.errors import ModelError
from models.architecture import FILE_TYPES
from models.catalog import Entry, catalog, entry
from models.library import BUNDLED, REAL_ONE
from tests.models.trial import ENTRY

NO_DIGEST = "0" * 64
OPTIONAL = {"unconfirmed"}


def test_every_entry_is_complete() -> None:
    tables = tomllib.loads((files("models") / "catalog.toml").read_text("utf-8"))["model"]
    expected = {field.name for field in fields(Entry)}
    for table in tables:
        assert table.keys() | OPTIONAL == expected, table["name"]
        assert all(value != "" for value in table.values()), table["name"]
    assert len(catalog()) == len(tables) > 0


@pytest.mark.parametrize("each", catalog(), ids=lambda each: each.name)
def test_every_entry_is_well_formed(each: Entry) -> None:
    assert re.fullmatch("[0-9a-f]{64}", each.sha256)
    assert each.sha256 != NO_DIGEST
    assert re.fullmatch(r"https://[a-z.]+/[\w./-]+", each.url)
    assert each.url.endswith(f"/{each.file}")
    assert each.file.endswith(".bin")
    assert each.bytes > 20_000_000
    assert 0 <= each.audio_ctx_floor <= 1500
    assert each.languages == "en" or 90 < int(each.languages) < 110
    assert (each.languages == "en") == (".en" in each.name)
    assert each.quantisation in {kind.name.lower() for kind in FILE_TYPES.values()}
    assert each.name.endswith(each.quantisation) or each.quantisation == "f16"


def test_no_two_entries_share_what_must_be_their_own() -> None:
    entries = catalog()
    for name in ("name", "file", "url", "sha256"):
        values = {str(getattr(each, name)).casefold() for each in entries}
        assert len(values) == len(entries), name


def test_the_bundled_model_is_no_entry_and_the_recommended_one_is() -> None:
    names = {each.name for each in catalog()}
    assert BUNDLED not in names
    assert REAL_ONE in names


def test_quantisation_makes_smaller_files() -> None:
    sizes = {each.name: each.bytes for each in catalog()}
    for name in ("tiny", "tiny.en", "base", "base.en", "small", "small.en"):
        assert sizes[f"{name}-q5_1"] < sizes[f"{name}-q8_0"] < sizes[name]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../up"},
        {"name": ".hidden"},
        {"name": ""},
        {"file": "below/it.bin"},
        {"file": "x\n.bin"},
        {"url": "http://127.0.0.1/x.bin"},
        {"url": "file:///x.bin"},
        {"bytes": 0},
        {"bytes": -1},
        {"sha256": "0" * 63},
        {"sha256": "A" * 64},
        {"sha256": "0" * 64 + "\n"},
    ],
    ids=str,
)
def test_an_entry_of_nonsense_cannot_be_made(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"plain name|https address|size or no SHA-256"):
        replace(ENTRY, **wrong)  # type: ignore[arg-type]


def test_a_name_is_found() -> None:
    assert [entry(each.name) for each in catalog()] == list(catalog())


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("base-q5", "did you mean base-q5_1"),
        ("tiny_q8_0", "did you mean tiny-q8_0"),
        ("xyzzy", "`trioscribe models list` shows what there is."),
        ("", "`trioscribe models list` shows what there is."),
    ],
)
def test_a_name_that_is_not_in_the_catalog_is_answered_with_those_that_are_close(name: str, hint: str) -> None:
    with pytest.raises(ModelError) as caught:
        entry(name)
    assert f"There is no model {name!r}; {hint}" in str(caught.value)

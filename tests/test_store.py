"""The exports in the data directory: found by their IDs and by nothing else, listed, mended, deleted."""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from functools import partial
from pathlib import Path

import pytest
import trio

from server.errors import ExportNotFoundError, ExportNotReadyError, InvalidCursorError, StartupError, StoreError
from server.exports.store import Store
from server.protocol import WireFinal, WireWord

FINAL = WireFinal((WireWord(0.9, 0.5, 0.1, "Hallo"),), " Hallo")

BAD_IDS = [
    "",
    ".",
    "..",
    "../..",
    "../" + "a" * 29,
    "%2e%2e",
    "a" * 31,
    "a" * 33,
    "A" * 32,
    "g" * 32,
    "a" * 31 + "\0",
    "a" * 31 + "\n",
    "a" * 32 + "\n",
    "\u0661" * 32,
    "/etc/passwd",
]


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    await store.prepare()
    return store


async def kept(store: Store) -> str:
    """The ID of an export that ended."""
    recorder = await store.record(store.new_id(), sample_rate=16_000, model="tiny")
    await recorder.audio(b"\x01\x00" * 1_600)
    await recorder.final(FINAL)
    await recorder.complete(language="de")
    return recorder.export_id


async def test_an_export_is_found_by_its_id(store: Store) -> None:
    export_id = await kept(store)
    assert (await store.find(export_id)).id == export_id
    assert await store.finals(export_id) == [FINAL]
    assert store.audio_path(export_id).read_bytes()[44:] == b"\x01\x00" * 1_600


def files_below(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def test_ids_are_32_hex_digits_and_never_the_same() -> None:
    ids = {Store.new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(one) == 32 and set(one) <= set("0123456789abcdef") for one in ids)


@pytest.mark.parametrize("export_id", [*BAD_IDS, "a" * 32])
async def test_no_export_is_found_under_anything_else(store: Store, export_id: str) -> None:
    await kept(store)
    with pytest.raises(ExportNotFoundError):
        await store.find(export_id)
    with pytest.raises(ExportNotFoundError):
        await store.finals(export_id)
    with pytest.raises(ExportNotFoundError):
        await store.delete(export_id)


@pytest.mark.parametrize("export_id", BAD_IDS)
async def test_no_path_is_reached_through_a_bad_id(store: Store, export_id: str) -> None:
    with pytest.raises(ExportNotFoundError):
        store.audio_path(export_id)
    with pytest.raises(ExportNotFoundError):
        await store.record(export_id, sample_rate=16_000, model="tiny")


async def test_the_list_goes_from_new_to_old_page_by_page(store: Store) -> None:
    ids = [await kept(store) for _ in range(5)]
    seen: list[str] = []
    before = None
    while True:
        page = await store.page(limit=2, before=before)
        assert len(page.exports) <= 2
        seen += [export.id for export in page.exports]
        before = page.next
        if before is None:
            break
        # A new export does not shift the pages that follow.
        await kept(store)
    assert seen == ids[::-1]


async def test_a_page_that_takes_in_all_has_no_next(store: Store) -> None:
    await kept(store)
    assert (await store.page(limit=1)).next is None
    assert (await Store.page(store, limit=200)).next is None


async def test_a_cursor_outlives_the_export_it_names(store: Store) -> None:
    oldest, _, newest = [await kept(store) for _ in range(3)]
    page = await store.page(limit=1)
    await store.delete(newest)
    assert (await store.page(limit=9, before=page.next)).exports[-1].id == oldest


@pytest.mark.parametrize("cursor", ["", "x", "2025-01-01T00:00:00.000000Z", "../../x", "\0"])
async def test_a_bad_cursor_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(InvalidCursorError):
        await store.page(limit=1, before=cursor)


async def test_a_live_export_is_listed_and_grows(store: Store) -> None:
    recorder = await store.record(store.new_id(), sample_rate=8_000, model="tiny")
    await recorder.audio(b"\0\0" * 8_000)
    (export,) = (await store.page(limit=9)).exports
    assert (export.state, export.samples, export.duration) == ("live", 8_000, 1.0)
    await recorder.complete(language=None)


async def test_deleting_leaves_nothing(store: Store, tmp_path: Path) -> None:
    export_id = await kept(store)
    await store.delete(export_id)
    with pytest.raises(ExportNotFoundError):
        await store.find(export_id)
    assert files_below(tmp_path) == {"exports", ".lock"}


async def test_a_live_export_is_not_deleted(store: Store) -> None:
    recorder = await store.record(store.new_id(), sample_rate=16_000, model="tiny")
    with pytest.raises(ExportNotReadyError):
        await store.delete(recorder.export_id)
    await recorder.complete(language=None)
    await store.delete(recorder.export_id)


async def test_a_line_cut_off_by_a_crash_is_left_out(store: Store, tmp_path: Path) -> None:
    recorder = await store.record(store.new_id(), sample_rate=16_000, model="tiny")
    await recorder.final(FINAL)
    with (store.audio_path(recorder.export_id).parent / "finals.jsonl").open("ab") as file:
        file.write(b'{"result":[{"conf":0.9,"end":0.5,"sta')
    again = Store(tmp_path)
    await again.prepare()
    assert await again.finals(recorder.export_id) == [FINAL]
    assert (await again.find(recorder.export_id)).words == 1
    await recorder.complete(language=None)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"id": 1}', b"\xff\xfe", b"\0" * 300])
async def test_an_export_with_a_damaged_meta_is_still_there(store: Store, tmp_path: Path, damage: bytes) -> None:
    export_id = await kept(store)
    good = await kept(store)
    meta = store.audio_path(export_id).parent / "meta.json"
    meta.write_bytes(damage)
    assert {export.id for export in (await store.page(limit=9)).exports} == {export_id, good}
    export = await store.find(export_id)
    assert (export.state, export.samples, export.sample_rate, export.words) == ("damaged", 1_600, 16_000, 1)
    again = Store(tmp_path)
    await again.prepare()
    assert (await again.find(export_id)).state == "interrupted"
    assert json.loads(meta.read_bytes())["samples"] == 1_600
    assert await again.finals(export_id) == [FINAL]


async def test_a_power_cut_that_took_the_header_is_mended(store: Store, tmp_path: Path) -> None:
    recorder = await store.record(store.new_id(), sample_rate=22_050, model="tiny")
    await recorder.audio(b"\x01\x00" * 22_050)
    path = store.audio_path(recorder.export_id)
    path.write_bytes(b"\0" * 44 + path.read_bytes()[44:] + b"\0")
    await Store(tmp_path).prepare()
    with wave.open(str(path)) as wav:
        assert (wav.getnframes(), wav.getframerate()) == (22_050, 22_050)
    await recorder.complete(language=None)


async def test_what_is_no_export_is_let_alone(store: Store, tmp_path: Path) -> None:
    (tmp_path / "exports" / "notes.txt").write_text("mine")
    (tmp_path / "exports" / ("b" * 32)).mkdir()
    others = [tmp_path / "exports" / name for name in ("talks.new", ".talks.deleted", f"{'c' * 32}.new")]
    for folder in others:
        folder.mkdir()
    export_id = await kept(store)
    await Store(tmp_path).prepare()
    assert [export.id for export in (await store.page(limit=9)).exports] == [export_id]
    assert (tmp_path / "exports" / "notes.txt").read_text() == "mine"
    assert all(folder.is_dir() for folder in others)


async def test_what_a_crash_left_half_made_or_half_deleted_is_cleared_away(tmp_path: Path) -> None:
    for name in (f".{'a' * 32}.new", f".{'b' * 32}.deleted"):
        (tmp_path / "exports" / name).mkdir(parents=True)
        (tmp_path / "exports" / name / "audio.wav").touch()
    await Store(tmp_path).prepare()
    assert [path.name for path in (tmp_path / "exports").iterdir()] == [".lock"]


async def test_a_data_directory_that_cannot_be_one_is_explained(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StartupError, match="choose another data directory"):
        await Store(tmp_path / "data").prepare()


async def test_a_data_directory_that_is_gone_is_told_from_a_missing_export(store: Store, tmp_path: Path) -> None:
    (tmp_path / "exports" / ".lock").unlink()
    (tmp_path / "exports").rmdir()
    with pytest.raises(StoreError, match="No such file") as failure:
        await store.record(store.new_id(), sample_rate=16_000, model="tiny")
    assert not isinstance(failure.value, ExportNotFoundError)


HOLD = """
import pathlib, sys, trio
from server.exports.store import Store
async def main():
    await Store(pathlib.Path(sys.argv[1])).prepare()
    print("held", flush=True)
    sys.stdin.read()
trio.run(main)
"""


async def test_two_processes_do_not_share_a_data_directory(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        hold = partial(
            trio.run_process,
            [sys.executable, "-c", HOLD, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        )
        other = await nursery.start(hold)
        assert (await other.stdout.receive_some()).strip() == b"held"
        with pytest.raises(StartupError, match="Another process"):
            await Store(tmp_path).prepare()
        await other.stdin.aclose()
    await Store(tmp_path).prepare()

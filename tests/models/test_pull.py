"""Pulling a model over HTTP, from a server on loopback that has its moods."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import httpx
import pytest

from models.errors import PullError
from models.folder import part_of, version_of
from models.pull import ATTEMPTS, PATIENCE, pull
from tests.models.trial import CONTENT, ENTRY, SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.models.mirror import Mirror

PATH = "/models/ggml-trial.bin"


def refusal(folder: Path, mirror: Mirror, patience: httpx.Timeout = PATIENCE) -> str:
    with pytest.raises(PullError) as caught:
        pull(ENTRY, folder, mirror=mirror.url, patience=patience)
    assert not (folder / ENTRY.file).exists()
    return str(caught.value)


def test_a_model_is_fetched_from_the_mirror_and_then_kept(tmp_path: Path, mirror: Mirror) -> None:
    told: list[int] = []
    folder = tmp_path / "not" / "there" / "yet"
    path = pull(ENTRY, folder, mirror=mirror.url + "/", report=told.append)
    assert path == folder / "ggml-trial.bin"
    assert path.read_bytes() == CONTENT
    assert told == sorted(told)
    assert told[-1] == SIZE
    assert pull(ENTRY, folder, mirror=mirror.url) == path
    assert mirror.asked == [(PATH, None)]
    assert [each.name for each in folder.iterdir() if not each.name.startswith(".")] == ["ggml-trial.bin"]


def test_a_connection_that_breaks_off_is_gone_on_with_at_once(tmp_path: Path, mirror: Mirror) -> None:
    mirror.cut = [400_000, 500_000, None]
    path = pull(ENTRY, tmp_path, mirror=mirror.url)
    assert path.read_bytes() == CONTENT
    assert mirror.asked == [(PATH, None), (PATH, "bytes=400000-"), (PATH, "bytes=900000-")]


def test_a_pull_that_broke_off_for_good_is_gone_on_with_by_the_next(tmp_path: Path, mirror: Mirror) -> None:
    mirror.cut = [300_000, 1_000, 0]
    said = refusal(tmp_path, mirror)
    assert f"{mirror.url}/ggml-trial.bin broke off (" in said
    assert "0.3 of 1.4 MiB are here. Pull again to go on." in said
    assert len(mirror.asked) == ATTEMPTS
    assert part_of(tmp_path / ENTRY.file).read_bytes() == CONTENT[:301_000]
    mirror.cut = [None]
    assert pull(ENTRY, tmp_path, mirror=mirror.url).read_bytes() == CONTENT
    assert mirror.asked[-1] == (PATH, "bytes=301000-")
    assert not part_of(tmp_path / ENTRY.file).exists()
    assert not version_of(tmp_path / ENTRY.file).exists()


@pytest.mark.parametrize(("ranges", "etag"), [(False, '"one"'), (True, ""), (True, 'W/"weak"'), (False, "")])
def test_a_server_that_knows_no_ranges_or_versions_sends_all_again(
    ranges: bool, etag: str, tmp_path: Path, mirror: Mirror
) -> None:
    mirror.ranges, mirror.etag, mirror.cut = ranges, etag, [400_000, None]
    assert pull(ENTRY, tmp_path, mirror=mirror.url).read_bytes() == CONTENT
    assert len(mirror.asked) == 2


def test_a_part_of_an_earlier_version_is_not_gone_on_with(tmp_path: Path, mirror: Mirror) -> None:
    mirror.content, mirror.etag, mirror.cut = bytes(SIZE), '"old"', [400_000, 0]
    refusal(tmp_path, mirror)
    mirror.content, mirror.etag, mirror.cut = CONTENT, '"new"', [None]
    assert pull(ENTRY, tmp_path, mirror=mirror.url).read_bytes() == CONTENT


@pytest.mark.parametrize("noted", [b"\xff\0", b"\0\0\0\0\0", b"", b'W/"x"', b'"line\r\nbreak"'])
def test_a_note_of_the_version_that_is_damaged_does_no_harm(noted: bytes, tmp_path: Path, mirror: Mirror) -> None:
    part_of(tmp_path / ENTRY.file).write_bytes(bytes(1_000))
    version_of(tmp_path / ENTRY.file).write_bytes(noted)
    assert pull(ENTRY, tmp_path, mirror=mirror.url).read_bytes() == CONTENT
    assert mirror.asked == [(PATH, None)]


def test_a_part_that_is_longer_than_the_file_is_begun_anew(tmp_path: Path, mirror: Mirror) -> None:
    part_of(tmp_path / ENTRY.file).write_bytes(bytes(SIZE + 1))
    version_of(tmp_path / ENTRY.file).write_text('"one"')
    assert pull(ENTRY, tmp_path, mirror=mirror.url).read_bytes() == CONTENT


def test_a_whole_part_needs_no_server(tmp_path: Path) -> None:
    part_of(tmp_path / ENTRY.file).write_bytes(CONTENT)
    assert pull(ENTRY, tmp_path).read_bytes() == CONTENT


def test_another_file_of_the_same_size_is_refused_and_deleted(tmp_path: Path, mirror: Mirror) -> None:
    mirror.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    said = refusal(tmp_path, mirror)
    assert "is not the published trial: its SHA-256 is" in said
    assert ENTRY.sha256 in said
    assert not part_of(tmp_path / ENTRY.file).exists()


def test_a_part_that_was_spoilt_here_is_found_out_and_the_next_pull_succeeds(tmp_path: Path, mirror: Mirror) -> None:
    part_of(tmp_path / ENTRY.file).write_bytes(bytes(1_000))
    version_of(tmp_path / ENTRY.file).write_text('"one"')
    assert "its SHA-256 is" in refusal(tmp_path, mirror)
    assert pull(ENTRY, tmp_path, mirror=mirror.url).read_bytes() == CONTENT


@pytest.mark.parametrize("content", [b"<!doctype html>Log in", bytes(SIZE + 1)])
def test_a_file_of_another_size_is_refused_before_it_is_fetched(content: bytes, tmp_path: Path, mirror: Mirror) -> None:
    mirror.content = content
    said = refusal(tmp_path, mirror)
    assert f"another file is there: it has {len(content)} bytes, not {SIZE}" in said


def test_more_than_was_announced_is_not_kept(tmp_path: Path, mirror: Mirror) -> None:
    mirror.content, mirror.claimed = CONTENT + bytes(1_000_000), ""
    assert f"it has more than {SIZE} bytes" in refusal(tmp_path, mirror)
    assert not part_of(tmp_path / ENTRY.file).exists()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (500, "the server cannot give it now (HTTP status 500). Try again later."),
        (503, "the server cannot give it now (HTTP status 503). Try again later."),
        (429, "the server cannot give it now (HTTP status 429). Try again later."),
        (404, "there is no such file (HTTP status 404). `models_mirror` can name another place."),
        (403, "access was refused (HTTP status 403)."),
        (410, "there is no such file (HTTP status 410)."),
        (204, "HTTP status 204 came in place of the file."),
    ],
)
def test_a_refusal_is_told_with_its_status(status: int, said: str, tmp_path: Path, mirror: Mirror) -> None:
    mirror.status = status
    assert f"{mirror.url}/ggml-trial.bin: {said}" in refusal(tmp_path, mirror)
    assert len(mirror.asked) == 1


@pytest.mark.parametrize("status", [416, 206])
def test_a_server_that_talks_of_ranges_unasked_is_given_up(status: int, tmp_path: Path, mirror: Mirror) -> None:
    mirror.status = status
    assert "broke off (the file there has changed)" in refusal(tmp_path, mirror)


def test_a_refusal_leaves_what_is_here(tmp_path: Path, mirror: Mirror) -> None:
    mirror.cut = [300_000, 0]
    refusal(tmp_path, mirror)
    mirror.status = 503
    refusal(tmp_path, mirror)
    assert part_of(tmp_path / ENTRY.file).stat().st_size == 300_000


def test_a_server_that_falls_silent_counts_as_broken_off(tmp_path: Path, mirror: Mirror) -> None:
    over = threading.Event()
    mirror.before_body = lambda: over.wait(30)
    try:
        assert "broke off (" in refusal(tmp_path, mirror, patience=httpx.Timeout(0.05))
    finally:
        over.set()


def test_without_a_network_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PullError) as caught:
        pull(ENTRY, tmp_path)
    said = str(caught.value)
    assert "127.0.0.1 cannot be reached" in said
    assert f"fetch {ENTRY.url} on another machine and copy it to {tmp_path}" in said
    assert "name a mirror with `models_mirror`" in said


def test_a_proxy_that_cannot_be_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://127.0.0.1:1")
    with pytest.raises(PullError, match="The proxy that the environment names cannot be used"):
        pull(ENTRY, tmp_path)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(PullError, match="cannot be reached"):
        pull(ENTRY, tmp_path)


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/", "http://[", "http://127.0.0.1:70000"])
def test_a_mirror_that_is_no_address_is_no_crash(address: str, tmp_path: Path) -> None:
    with pytest.raises(PullError, match="cannot be"):
        pull(ENTRY, tmp_path, mirror=address)

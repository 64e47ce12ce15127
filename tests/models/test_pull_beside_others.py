"""Pulling where others pull too, and where there is no room."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from models.errors import PullError
from models.folder import part_of
from models.pull import alone, pull
from tests.models.trial import CONTENT, ENTRY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.models.mirror import Mirror

HOLDS_THE_LOCK = """
import sys
from pathlib import Path
from models.pull import alone
from tests.models.trial import ENTRY
with alone(ENTRY, Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def pulling(folder: Path, mirror: Mirror) -> Iterator[threading.Thread]:
    """Inside, a pull in another thread waits for the body of its answer; at the end it is let go on."""
    under_way, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        under_way.set()
        go_on.wait(30)

    mirror.before_body = wait
    other = threading.Thread(target=pull, args=(ENTRY, folder), kwargs={"mirror": mirror.url})
    other.start()
    try:
        assert under_way.wait(30)
        yield other
    finally:
        go_on.set()
        other.join()


def test_of_two_pulls_at_once_one_says_so_and_the_other_is_not_disturbed(tmp_path: Path, mirror: Mirror) -> None:
    with pulling(tmp_path, mirror), pytest.raises(PullError, match="Another pull of trial is under way; wait for it"):
        pull(ENTRY, tmp_path, mirror=mirror.url)
    assert (tmp_path / ENTRY.file).read_bytes() == CONTENT
    assert len(mirror.asked) == 1


def test_two_models_can_be_pulled_at_once(tmp_path: Path, mirror: Mirror) -> None:
    with pulling(tmp_path, mirror):
        mirror.before_body = lambda: None
        other = replace(ENTRY, name="other", file="ggml-other.bin")
        assert pull(other, tmp_path, mirror=mirror.url).read_bytes() == CONTENT
        assert not (tmp_path / ENTRY.file).exists()


def test_another_process_is_heeded_and_its_death_frees_the_model(tmp_path: Path, mirror: Mirror) -> None:
    command = [sys.executable, "-c", HOLDS_THE_LOCK, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:  # noqa: S603 - this program
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(PullError, match="Another pull of trial is under way"):
            pull(ENTRY, tmp_path, mirror=mirror.url)
        holder.kill()
    assert pull(ENTRY, tmp_path, mirror=mirror.url).read_bytes() == CONTENT


def test_a_failed_pull_lets_the_next_one_in(tmp_path: Path, mirror: Mirror) -> None:
    mirror.status = 500
    with pytest.raises(PullError):
        pull(ENTRY, tmp_path, mirror=mirror.url)
    with alone(ENTRY, tmp_path):
        pass


def test_a_model_for_which_there_is_no_room_is_not_asked_for(tmp_path: Path, mirror: Mirror) -> None:
    with pytest.raises(PullError, match=r"needs 1099511627776 MiB, and .* has \d+: free space, or set"):
        pull(replace(ENTRY, bytes=1 << 60), tmp_path, mirror=mirror.url)
    assert mirror.asked == []


def test_a_disk_that_fills_up_keeps_what_is_here_and_is_gone_on_with(tmp_path: Path, mirror: Mirror) -> None:
    with largest_file(1_000_000), pytest.raises(PullError) as caught:
        pull(ENTRY, tmp_path, mirror=mirror.url)
    part = part_of(tmp_path / ENTRY.file)
    assert str(caught.value) == (
        f"{part} cannot be written: File too large. "
        "Free space, or set `models_dir` to another disk; then pull again to go on."
    )
    kept = part.stat().st_size
    assert 0 < kept <= 1_000_000
    assert not (tmp_path / ENTRY.file).exists()
    assert pull(ENTRY, tmp_path, mirror=mirror.url).read_bytes() == CONTENT
    assert mirror.asked[-1][1] == f"bytes={kept}-"


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Inside, no file of this process can grow beyond a size: to a program, it is a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_folder_that_cannot_be_is_said_to_be_one(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        with pytest.raises(PullError, match=r"cannot be used: .* `models_dir` sets another folder"):
            pull(ENTRY, folder, mirror=mirror.url)


def test_a_folder_in_the_way_of_the_file_is_no_crash(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / ENTRY.file).mkdir()
    with pytest.raises(PullError, match="cannot be written: Is a directory"):
        pull(ENTRY, tmp_path, mirror=mirror.url)


def test_a_damaged_file_under_the_name_is_replaced(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / ENTRY.file).write_bytes(CONTENT[:-1])
    assert pull(ENTRY, tmp_path, mirror=mirror.url).read_bytes() == CONTENT

"""Files that appear whole or not at all, whoever else writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.appearing import appearing

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_is_under_the_name_until_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with appearing(target) as out:
        out.write(b"half")
        assert not target.exists()
    assert target.read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_nothing_and_spares_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), appearing(target) as out:
        out.write(b"new")
        raise ZeroDivisionError
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_two_at_once_do_not_write_into_each_other(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with appearing(target) as one:
        one.write(b"one")
        with appearing(target) as two:
            two.write(b"the other")
        assert target.read_bytes() == b"the other"
        one.write(b"!")
        one.flush()
        assert target.read_bytes() == b"the other"
    assert target.read_bytes() == b"one!"

"""The file of API keys, through the command that people use and the ring that a server reads."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

import pytest

from server.access.door import presented
from server.access.keys import KeyRing, add, revoke
from server.cli import main
from server.errors import KeyFileError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_a_key_is_made_shown_once_listed_and_revoked(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--keys-file", str(file)]
    assert main(["keys", "add", "hall", *where]) == 0
    made = capsys.readouterr()
    secret = made.out.strip()
    assert re.fullmatch(r"ts_[A-Za-z0-9_-]{43}", secret)
    assert secret not in made.err
    assert secret not in file.read_text()
    assert KeyRing(file).holder(secret) == "hall"

    assert main(["keys", "list", *where]) == 0
    listed = capsys.readouterr().out
    key_id, created, holder = listed.split()
    assert holder == "hall"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created)

    assert main(["keys", "revoke", key_id, *where]) == 0
    assert key_id in capsys.readouterr().err
    assert KeyRing(file).holder(secret) is None
    assert main(["keys", "revoke", key_id, *where]) == 1
    assert f"No key in {file} has the ID or the holder '{key_id}'" in capsys.readouterr().err


def test_a_new_key_works_beside_the_old_one_until_that_is_revoked(file: Path) -> None:
    old, old_key = add(file, "hall")
    new, _ = add(file, "hall")
    other, _ = add(file, "stage")
    ring = KeyRing(file)
    assert [ring.holder(each) for each in (old, new, other)] == ["hall", "hall", "stage"]
    assert revoke(file, old_key.id) == (old_key,)
    ring.reload()
    assert [ring.holder(each) for each in (old, new, other)] == [None, "hall", "stage"]
    revoke(file, "hall")
    ring.reload()
    assert [ring.holder(each) for each in (new, other)] == [None, "stage"]


def test_what_is_almost_a_key_is_none(file: Path) -> None:
    secret, key = add(file, "hall")
    ring = KeyRing(file)
    for wrong in ("", secret[:-1], secret + "x", secret.upper(), f" {secret}", "\ud800", key.digest, key.id, "hall"):
        assert ring.holder(wrong) is None


def test_only_its_owner_can_read_a_new_file_and_an_old_one_keeps_its_mode(file: Path) -> None:
    add(file, "hall")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    add(file, "stage")
    revoke(file, "hall")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [each.name for each in file.parent.iterdir()] == ["keys"]


def test_comments_stay_and_a_broken_line_opens_nothing(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    secret, key = add(file, "hall")
    file.write_text(f"# of the hall\n\n{file.read_text()}{key.digest} someone\n{'0' * 64} today name\x1b[2J\n")
    ring = KeyRing(file)
    assert (len(ring), ring.holder(secret)) == (1, "hall")
    assert "Line 4" in caplog.text
    assert "Line 5" in caplog.text
    add(file, "stage")
    assert file.read_text().startswith("# of the hall\n")


def test_a_file_that_has_gone_opens_for_nobody(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    secret, _ = add(file, "hall")
    ring = KeyRing(file)
    file.unlink()
    ring.reload()
    assert ring.holder(secret) is None
    assert "no key is accepted" in caplog.text


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "../x", "-x", "ü", "x" * 65, "\x1b[0m"])
def test_a_name_that_could_do_harm_is_refused(file: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match="cannot name a key's holder"):
        add(file, name)
    assert not file.exists()


def test_without_a_file_it_is_said_how_to_name_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "list"]) == 2
    assert "--keys-file FILE, TRIOSCRIBE_KEYS_FILE" in capsys.readouterr().err


def test_a_folder_that_does_not_exist_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "add", "hall", "--keys-file", str(tmp_path / "none" / "keys")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("authorization", "query", "key"),
    [
        (None, "", None),
        ("abc", "", "abc"),
        ("Bearer abc", "", "abc"),
        ("bearer   abc ", "", "abc"),
        ("Bearer", "", "Bearer"),
        ("", "token=x", "x"),
        (None, "a=1&token=x&b", "x"),
        (None, "token=", None),
        (None, "token=a%20b", "a b"),
        (None, "token=%ff", "\ufffd"),
        ("abc", "token=x", "abc"),
    ],
)
def test_where_a_key_may_stand(authorization: str | None, query: str, key: str | None) -> None:
    assert presented(authorization, query) == key

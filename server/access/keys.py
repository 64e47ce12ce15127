"""API keys: a text file with the hash of each key, and the ring of them that a server opens for.

A line of the file is a key: the SHA-256 of it in hex, the moment it was made, and the name of its holder. Empty lines
and lines that begin with # say nothing. A holder may have several keys, so that a new one can be handed out before the
old one is revoked; what a holder has stored belongs to the name, and any of its keys opens it.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import logging
import os
import re
import secrets
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from server.errors import KeyFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX: Final = "ts_"
"""Begins every key: scanners for leaked secrets can know it, and no key looks like an option on a command line."""

KEY_BYTES: Final = 32
ID_DIGITS: Final = 12
"""Hex digits of the hash that name a key: enough to tell keys apart, and of no use for finding one."""

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
_LINE: Final = re.compile(rf"([0-9a-f]{{64}})\s+(\S+)\s+({NAME.pattern})", re.ASCII)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of a key: never the key itself. `created` is ISO 8601, UTC."""

    digest: str
    created: str
    holder: str

    @property
    def id(self) -> str:
        """Its public name, among the keys of a file."""
        return self.digest[:ID_DIGITS]


def digest(secret: str) -> str:
    """The hash by which a key is known.

    A plain SHA-256 will do. Slow, salted hashes make up for passwords that can be guessed one after the other; a key
    has 256 random bits, and nobody finds it from its hash by trying, however fast a try is.
    """
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


class KeyRing:
    """The keys of a file, as they were when it was last read. `reload` when the file has changed."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises `KeyFileError` if it cannot be read."""
        self.path = path
        self._keys = read(path)

    def __len__(self) -> int:
        return len(self._keys)

    def holder(self, secret: str) -> str | None:
        """The name of who holds this key, or None if it is none of the ring's.

        It takes equally long whichever key it is: all hashes are compared, each in constant time.
        """
        shown = digest(secret)
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, shown):
                found = key.holder
        return found

    def reload(self) -> None:
        """Read the file again. One that is gone or cannot be read opens for nobody: a doubt never lets anyone in."""
        try:
            self._keys = read(self.path)
        except KeyFileError as error:
            self._keys = ()
            _logger.error("%s Until it can be read, no key is accepted.", error)  # noqa: TRY400 - the message has it all
        else:
            _logger.info("%d API keys are in force", len(self._keys))


def read(path: Path) -> tuple[Key, ...]:
    """The keys in a file, in order. A line that is none is passed over with a warning. Raises `KeyFileError`."""
    keys = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if match := _LINE.fullmatch(line.strip()):
            keys.append(Key(*match.groups()))
        else:
            _logger.warning("Line %d of %s is no key and opens nothing", number, path)
    return tuple(keys)


def add(path: Path, holder: str) -> tuple[str, Key]:
    """Make a key and put it into the file, which is made if there is none. Returns the secret, kept nowhere, and it.

    Raises `KeyFileError` for a name that is not allowed, or if the file cannot be written.
    """
    if not NAME.fullmatch(holder):
        raise KeyFileError(
            f"{holder!r} cannot name a key's holder; take up to 64 letters, digits, dots, dashes, underscores and @."
        )
    secret = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    key = Key(digest(secret), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), holder)
    with _changing(path) as lines:
        lines.append(f"{key.digest} {key.created} {key.holder}")
    return secret, key


def revoke(path: Path, which: str) -> tuple[Key, ...]:
    """Take keys out of the file: the one with this ID, or all of the holder with this name. Returns them.

    Raises `KeyFileError` if there is none, or the file cannot be written.
    """
    gone = tuple(key for key in read(path) if which in {key.id, key.holder})
    if not gone:
        raise KeyFileError(f"No key in {path} has the ID or the holder {which!r}; `trioscribe keys list` shows them.")
    digests = {key.digest for key in gone}
    with _changing(path) as lines:
        lines[:] = [line for line in lines if not digests.intersection(line.split()[:1])]
    return gone


@contextmanager
def _changing(path: Path) -> Iterator[list[str]]:
    """Change the lines of a file: it is replaced in one step, and by one process at a time."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            lines = _lines(path) if path.exists() else []
            yield lines
            _replace(path, "".join(f"{line}\n" for line in lines))
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise KeyFileError(f"The key file {path} cannot be written: {error.strerror}.") from error


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # only its owner can read it
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            if path.exists():  # whoever could read the file before, such as the service's user, still can
                before = path.stat()
                os.fchmod(descriptor, before.st_mode & 0o777)
                if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(descriptor, before.st_uid, before.st_gid)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise KeyFileError(f"The key file {path} cannot be read: {error.strerror}.") from error

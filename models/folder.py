"""The folder where pulled models are kept, each under the name that its publisher gave it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from platformdirs import user_data_path

from engine.errors import ModelError
from models.ggml import check

if TYPE_CHECKING:
    from pathlib import Path

    from models.architecture import Header
    from models.catalog import Entry


def default_folder() -> Path:
    """Where models are kept if no setting says otherwise; it need not exist."""
    return user_data_path("trioscribe") / "models"


def part_of(path: Path) -> Path:
    """Where a model is kept while it is only partly here."""
    return path.with_name(path.name + ".part")


def version_of(path: Path) -> Path:
    """Where the server's word (its ETag) is kept for which version of the file that part is from."""
    return path.with_name(path.name + ".part.etag")


def is_there(path: Path) -> bool:
    """Whether there is anything of this name. Raises `ModelError` if that cannot be told."""
    try:
        return path.exists()
    except OSError as error:
        raise ModelError(f"The model file {path} cannot be read: {error.strerror}.") from error


def verify(entry: Entry, path: Path) -> Header:
    """Make sure that a file is the published one, to the last bit, and one that whisper.cpp can load.

    Reads all of it. Raises `ModelError` with what is wrong and what to do.
    """
    header = check(path)
    if flaw := difference(entry, path):
        raise ModelError(
            f"{path} has the name of a published model, but {flaw}. "
            f"Get it anew (`trioscribe models pull {entry.name}`), or rename it if it is a model of your own."
        )
    return header


def difference(entry: Entry, path: Path) -> str | None:
    """How a file differs from the published one; None if it does not. Raises `ModelError` if it cannot be read."""
    try:
        size = path.stat().st_size
        if size != entry.bytes:
            return f"it has {size} bytes, not {entry.bytes}"
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"The model file {path} cannot be read: {error.strerror}.") from error
    return None if digest == entry.sha256 else f"its SHA-256 is {digest}, not {entry.sha256}"


def remove(entry: Entry, folder: Path) -> int:
    """Delete a model, and what a pull that broke off left of it. Returns the bytes freed.

    Raises `ModelError` if nothing of it is there, or it cannot be deleted.
    """
    path = folder / entry.file
    freed = 0
    found = False
    try:
        for each in (path, part_of(path), version_of(path)):
            if each.exists():
                found = True
                freed += each.stat().st_size
                each.unlink()
    except OSError as error:
        raise ModelError(f"{error.filename} cannot be deleted: {error.strerror}.") from error
    if not found:
        raise ModelError(f"Model {entry.name} is not in {folder}.")
    return freed

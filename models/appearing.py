"""Files that have their name only when they are whole."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def appearing(target: Path) -> Iterator[BinaryIO]:
    """Write a file that takes the name `target` when the block ends; if it fails, nothing is left of it.

    Each writer has a file of its own, so several may make the same one at once, and the last of them to end wins.
    """
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)

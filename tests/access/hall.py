"""A server with keys, and how its holders show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.visitors import Visitor


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


class Hall:
    """A server with two holders of keys."""

    def __init__(self, visitor: Visitor, file: Path, hall: str, stage: str) -> None:
        self.visitor = visitor
        self.file = file
        self.hall = hall
        self.stage = stage

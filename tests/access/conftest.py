"""A server that two holders of keys and the pages of one origin may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.access import keys
from tests.access.hall import Hall
from tests.conftest import running
from tests.visitors import Visitor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def hall(tmp_path: Path) -> AsyncIterator[Hall]:
    file = tmp_path / "keys"
    (secret, _), (other, _) = keys.add(file, "hall"), keys.add(file, "stage")
    async with running(tmp_path / "data", keys_file=str(file), origins="https://captions.example") as client:
        yield Hall(Visitor(client.app), file, secret, other)

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.models.mirror import Mirror, serving
from tests.models.trial import CONTENT

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_proxy_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving(Mirror(CONTENT)) as served:
        yield served

"""Without keys, no other machine is let near."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.app import serve
from server.errors import StartupError
from server.settings.table import Settings
from tests.conftest import running

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - that is what is refused
async def test_other_machines_are_not_let_near_without_keys(tmp_path: Path, host: str) -> None:
    with pytest.raises(StartupError, match=r"no keys keep them out.*--keys-file FILE.*--insecure"):
        await serve(Settings(host=host, port=0, rest_port=0, data_dir=tmp_path))


async def test_a_host_that_is_none_does_not_get_as_far(tmp_path: Path) -> None:
    for insecure in (False, True):
        with pytest.raises(StartupError, match=r"'fe80::1%nowhere' is no address to listen on"):
            await serve(Settings(host="fe80::1%nowhere", port=0, rest_port=0, data_dir=tmp_path, insecure=insecure))


async def test_they_are_if_told_so(tmp_path: Path) -> None:
    async with running(tmp_path, host="0.0.0.0", insecure=True) as client:  # noqa: S104 - on purpose
        assert (await client.talk("eof")).code == 1000


async def test_a_key_file_that_is_missing_is_no_open_door(tmp_path: Path) -> None:
    settings = Settings(port=0, rest_port=0, data_dir=tmp_path, keys_file=str(tmp_path / "none"))
    with pytest.raises(StartupError, match=r"none cannot be read.*trioscribe keys add"):
        await serve(settings)

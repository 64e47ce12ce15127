"""Web pages: those of the server's own host and of the setting come in, no others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.access.hall import Hall, bearer
from tests.conftest import running
from tests.visitors import RefusedHandshake, Visitor

if TYPE_CHECKING:
    from pathlib import Path


async def test_pages_come_in_from_their_own_host_and_from_the_setting_only(hall: Hall) -> None:
    visitor, port = hall.visitor, hall.visitor.app.port
    for origin in (None, "http://127.0.0.1:8000", "http://localhost:8000", "https://captions.example"):
        headers = bearer(hall.hall) | ({} if origin is None else {"Origin": origin})
        assert (await visitor.talk("eof", headers=headers)).code == 1000
    for origin in (
        "https://evil.example",
        "null",
        f"http://evil.example:{port}",
        "https://captions.example.evil.example",
    ):
        with pytest.raises(RefusedHandshake) as caught:
            await visitor.talk("eof", headers=bearer(hall.hall) | {"Origin": origin})
        assert (caught.value.status, caught.value.body["error"]) == (403, "origin_not_allowed")


async def test_pages_of_the_setting_may_read_exports_and_no_others(hall: Hall) -> None:
    page, evil = {"Origin": "https://captions.example"}, {"Origin": "https://evil.example"}
    status, answer, _ = await hall.visitor.ask("/exports", page | bearer(hall.hall))
    assert (status, answer["Access-Control-Allow-Origin"]) == (200, "https://captions.example")
    assert "Origin" in answer["Vary"]
    wish = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization"}
    status, answer, _ = await hall.visitor.ask("/exports/" + "0" * 32, page | wish, "OPTIONS")
    assert status == 200
    assert "DELETE" in answer["Access-Control-Allow-Methods"]
    assert "Authorization" in answer["Access-Control-Allow-Headers"]
    # An error can be read too: the page can say what is wrong.
    _, answer, _ = await hall.visitor.ask("/exports", page)
    assert answer["Access-Control-Allow-Origin"] == "https://captions.example"
    for method in ("GET", "OPTIONS"):
        _, answer, _ = await hall.visitor.ask("/exports", evil | bearer(hall.hall), method)
        assert not [name for name in answer if name.lower().startswith("access-control")]


async def test_a_name_made_to_point_here_opens_nothing_without_keys(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        visitor = Visitor(client.app)
        rebound = {"Host": "evil.example:8394", "Origin": "http://evil.example:8394"}
        with pytest.raises(RefusedHandshake) as caught:
            await visitor.talk("eof", headers=rebound)
        assert (caught.value.status, caught.value.body["error"]) == (403, "host_not_allowed")
        status, _, body = await visitor.ask("/exports", {"Host": "evil.example:8393"})
        assert (status, json.loads(body)["error"]) == (403, "host_not_allowed")
        for host in ("localhost:8394", "[::1]:8394", "127.0.0.1"):
            assert (await visitor.talk("eof", headers={"Host": host})).code == 1000
            assert (await visitor.ask("/exports", {"Host": host}))[0] == 200

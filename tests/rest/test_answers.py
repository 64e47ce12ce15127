"""What is the same for all addresses: health, errors, the description."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import msgspec

from server.rest.routes import Readiness, create_app
from tests.rest.application import OPEN_DOOR, READY, refused

if TYPE_CHECKING:
    import pytest
    from quart.typing import TestClientProtocol

    from server.exports.store import Store


async def test_health_and_readiness(store: Store) -> None:
    ready = create_app(store, lambda: READY, OPEN_DOOR, stream_port=8394).test_client()
    assert await (await ready.get("/health")).get_json() == {"status": "ok"}
    assert await (await ready.get("/ready")).get_json() == msgspec.to_builtins(READY)
    not_ready = create_app(
        store, lambda: Readiness(False, "shutting down", 1, 2, "tiny"), OPEN_DOOR, stream_port=8394
    ).test_client()
    response = await not_ready.get("/ready")
    assert response.status_code == 503
    assert (await response.get_json())["reason"] == "shutting down"


async def test_every_error_is_json(client: TestClientProtocol) -> None:
    await refused(client, 404, "/")
    await refused(client, 404, "/exports/")
    await refused(client, 404, "/static/x")
    await refused(client, 405, "/exports", "POST")
    allowed = (await client.put("/exports")).headers["Allow"]
    assert set(allowed.split(", ")) == {"GET", "HEAD", "OPTIONS"}


async def test_a_mistake_in_the_server_is_json_too(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Readiness:
        raise RuntimeError("secret detail")

    body = await refused(create_app(store, fail, OPEN_DOOR, stream_port=8394).test_client(), 500, "/ready")
    assert "secret" not in json.dumps(body)
    assert "secret detail" in caplog.text


async def test_the_description_names_every_route_and_type(client: TestClientProtocol) -> None:
    response = await client.get("/openapi.json")
    api = await response.get_json()
    assert set(api["paths"]) == {
        "/health",
        "/ready",
        "/exports",
        "/exports/{export_id}",
        "/export/transcript/{export_id}",
        "/export/audio/{export_id}",
    }
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(api)))
    assert referred == set(api["components"]["schemas"])
    answers = api["paths"]["/export/transcript/{export_id}"]["get"]["responses"]
    assert set(answers) == {"200", "400", "404", "406", "409"}
    assert {"application/json", "text/vtt"} <= set(answers["200"]["content"])


async def test_the_docs_load_nothing_from_elsewhere(client: TestClientProtocol) -> None:
    response = await client.get("/docs")
    page = await response.get_data(as_text=True)
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "://" not in page
    assert 'src="' not in page
    assert set(re.findall(r'(?:href=|fetch\()"([^"]*)"', page)) == {"openapi.json"}
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; connect-src 'self'")

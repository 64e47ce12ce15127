"""The list of exports, page by page, and deleting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.rest.application import refused

if TYPE_CHECKING:
    from quart.typing import TestClientProtocol

    from server.exports.store import Store


async def test_exports_are_listed_page_by_page(client: TestClientProtocol, store: Store, export_id: str) -> None:
    recorder = await store.record(store.new_id(), sample_rate=16_000, model="tiny")
    await recorder.complete(language=None)
    first = await (await client.get("/exports?limit=1")).get_json()
    second = await (await client.get(f"/exports?limit=1&before={first['next']}")).get_json()
    assert [page["exports"][0]["id"] for page in (first, second)] == [recorder.export_id, export_id]
    assert second["next"] is None
    shown = await (await client.get(f"/exports/{export_id}")).get_json()
    assert shown == second["exports"][0] == msgspec.to_builtins(await store.find(export_id))


@pytest.mark.parametrize("query", ["limit=abc", "limit=0", "limit=201", "limit=-1", "limit=1.5", "limit=", "before=x"])
async def test_a_query_that_makes_no_sense_is_400(client: TestClientProtocol, query: str) -> None:
    body = await refused(client, 400, f"/exports?{query}")
    name, _, value = query.partition("=")
    if name == "limit":
        assert body["message"] == f"limit is {value!r}; it must be a whole number from 1 to 200."


async def test_deleting(client: TestClientProtocol, export_id: str) -> None:
    assert (await client.delete(f"/exports/{export_id}")).status_code == 204
    await refused(client, 404, f"/exports/{export_id}", "DELETE")
    await refused(client, 404, f"/export/audio/{export_id}")

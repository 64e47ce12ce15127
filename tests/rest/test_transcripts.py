"""Transcripts as clients fetch them: formats, exports that are still live, IDs that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.rest.application import FINALS, refused

if TYPE_CHECKING:
    from quart.typing import TestClientProtocol

    from server.exports.store import Store


async def test_a_transcript_is_the_list_of_finals_as_sent(client: TestClientProtocol, export_id: str) -> None:
    response = await client.get(f"/export/transcript/{export_id}", headers={"Authorization": "key"})
    assert response.status_code == 200
    assert await response.get_data() == b"[" + b",".join(map(msgspec.json.encode, FINALS)) + b"]"
    assert [final["text"] for final in await response.get_json()] == [final.text for final in FINALS]


@pytest.mark.parametrize(
    ("wanted", "media_type", "part"),
    [
        ("json", "application/json", '"word":"Welt."'),
        ("txt", "text/plain", "Grüße, Welt.\n日本\n"),
        ("text", "text/plain", "Grüße, Welt.\n日本\n"),
        ("srt", "application/x-subrip", "1\n00:00:00,100 --> 00:00:01,100\nGrüße, Welt.\n"),
        ("vtt", "text/vtt", "WEBVTT\n\n00:00:00.100 --> 00:00:01.100\nGrüße, Welt.\n"),
        ("tsv", "text/tab-separated-values", "100\t900\tGrüße, Welt.\n2000\t3000\t日本\n"),
    ],
)
async def test_formats_by_query_and_by_accept(
    client: TestClientProtocol, export_id: str, wanted: str, media_type: str, part: str
) -> None:
    ending = wanted.replace("text", "txt")
    # The query wins over the header.
    by_query = await client.get(f"/export/transcript/{export_id}?format={wanted}", headers={"Accept": "image/png"})
    by_accept = await client.get(f"/export/transcript/{export_id}", headers={"Accept": media_type})
    for response in (by_query, by_accept):
        assert response.status_code == 200
        assert response.headers["Content-Type"] == f"{media_type}; charset=utf-8"
        assert response.headers["Content-Disposition"] == f'inline; filename="trioscribe-{export_id}.{ending}"'
        assert part in await response.get_data(as_text=True)
    assert by_accept.headers["Vary"] == "Accept"


@pytest.mark.parametrize("accept", ["*/*", "text/html,application/xml;q=0.9,*/*;q=0.8", "application/json, text/plain"])
async def test_a_client_without_a_preference_gets_json(client: TestClientProtocol, export_id: str, accept: str) -> None:
    response = await client.get(f"/export/transcript/{export_id}", headers={"Accept": accept})
    assert response.headers["Content-Type"].startswith("application/json")


async def test_an_unknown_format_is_400_and_an_unknown_media_type_406(
    client: TestClientProtocol, export_id: str
) -> None:
    body = await refused(client, 400, f"/export/transcript/{export_id}?format=docx")
    assert body["message"] == "format is 'docx'; it must be json, txt, srt, vtt, tsv, or text for txt."
    body = await refused(client, 406, f"/export/transcript/{export_id}", headers={"Accept": "application/pdf"})
    assert "application/x-subrip" in body["message"]


async def test_a_live_export_is_409(client: TestClientProtocol, store: Store) -> None:
    recorder = await store.record(store.new_id(), sample_rate=16_000, model="tiny")
    for method, path in [("GET", "/export/transcript/"), ("GET", "/export/audio/"), ("DELETE", "/exports/")]:
        body = await refused(client, 409, path + recorder.export_id, method)
        assert (body["error"], body["state"]) == ("export_live", "live")
    assert (await (await client.get(f"/exports/{recorder.export_id}")).get_json())["state"] == "live"
    await recorder.complete(language=None)


@pytest.mark.parametrize(
    "bad", ["..", "%2e%2e", "..%2f..%2fmeta.json", "a" * 33, "A" * 32, "%00", "a" * 31 + "%00", "x" * 5000, "%ff", "ü"]
)
@pytest.mark.parametrize("route", ["/export/transcript/", "/export/audio/", "/exports/"])
async def test_a_bad_id_is_404(client: TestClientProtocol, export_id: str, route: str, bad: str) -> None:
    assert export_id
    await refused(client, 404, route + bad)
    await refused(client, 404, f"{route}{export_id.upper()}")

"""What the tests of the REST interface share: an export, and what an error looks like."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from server.access.door import Door
from server.access.origins import Origins
from server.protocol import WireFinal, WireWord
from server.rest.routes import Readiness

if TYPE_CHECKING:
    from quart.typing import TestClientProtocol

FINALS = [
    WireFinal((WireWord(0.9, 0.5, 0.1, "Grüße,"), WireWord(0.8, 0.9, 0.5, "Welt.")), " Grüße, Welt."),
    WireFinal((WireWord(0.7, 3.0, 2.0, "日本"),), "日本"),
]
PCM = bytes(range(256)) * 500
OPEN_DOOR = Door(None, Origins())
READY = Readiness(True, "ready", 1, 2, "tiny")


async def refused(
    client: TestClientProtocol, status: int, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> dict[str, str]:
    """What the JSON body of an error says; every error has the same shape."""
    response = await getattr(client, method.lower())(path, headers=headers)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    body: dict[str, str] = await response.get_json()
    assert set(body) - {"state"} == {"error", "message", "hint"}
    assert re.fullmatch("[a-z_]+", body["error"])
    assert body["message"].endswith((".", "`."))
    assert body["hint"].endswith(".")
    return body

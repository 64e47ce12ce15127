"""Nothing in an address or a handshake gets into headers or reaches a file."""

from __future__ import annotations

import pytest
import trio

from tests.access.hall import Hall, bearer
from tests.conftest import PATIENCE


@pytest.mark.parametrize(
    "path",
    [
        "/exports/x%0d%0aSet-Cookie:%20a=b",
        "/export/audio/x%0d%0aSet-Cookie:%20a=b",
        "/export/transcript/%22;%20filename=%22x.exe",
        "/export/transcript/..%2f..%2f..%2fetc%2fpasswd",
        "/export/audio/%2e%2e/%2e%2e/keys",
        "/exports?before=%0d%0aSet-Cookie:%20a=b",
        "/exports/%00",
    ],
)
async def test_nothing_in_an_address_gets_into_headers_or_reaches_a_file(hall: Hall, path: str) -> None:
    status, answer, body = await hall.visitor.ask(path, bearer(hall.hall))
    assert status in {400, 404}
    assert "Set-Cookie" not in answer
    assert "Content-Disposition" not in answer
    assert "root:" not in body.decode()
    assert hall.hall not in body.decode()


async def test_a_handshake_cannot_put_headers_into_the_answer(hall: Hall) -> None:
    lines = (
        "GET /x%0d%0aSet-Cookie:a=b\tz HTTP/1.1",
        "Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: audio.drachtio.org%0d%0aSet-Cookie:a=b",
        "\r\n",
    )
    stream = await trio.open_tcp_stream("127.0.0.1", hall.visitor.app.port)
    await stream.send_all("\r\n".join(lines).encode())
    answer = b""
    with trio.fail_after(PATIENCE):
        while chunk := await stream.receive_some():
            answer += chunk
    await stream.aclose()
    assert answer.startswith(b"HTTP/1.1 4")
    assert b"\nset-cookie" not in answer.lower()

"""Who may ask what of the REST interface: by API key, by the host that was asked, and by the page that asks (CORS)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quart import g, request

from server.access.door import NEEDS_KEY
from server.errors import RefusedError
from server.exports.shelf import Shelf

if TYPE_CHECKING:
    from quart_trio import QuartTrio
    from quart_trio.wrappers import TrioResponse as Response

    from server.access.door import Door
    from server.exports.store import Store

OPEN: Final = frozenset({"/health", "/ready", "/docs", "/openapi.json"})
"""What needs no key: whether the server is well, for load balancers, and how to ask. None of it tells of a stream."""

SAFE_HEADERS: Final = "Content-Disposition, Content-Range, ETag, Retry-After"
PREFLIGHT_SECONDS: Final = 600


def guard(app: QuartTrio, door: Door) -> None:
    """Let no request through that the door does not, and tell browsers which pages may read the answers."""

    @app.before_request
    async def check() -> None:
        door.origins.check_host(request.headers.get("Host"))
        if request.path in OPEN or request.method == "OPTIONS":  # browsers ask without a key if they may ask with one
            return
        g.viewer = door.holder(request.headers.get("Authorization"), request.query_string.decode("latin-1"))
        if door.locked and g.viewer is None:
            raise RefusedError(401, "unauthorized", NEEDS_KEY)

    @app.after_request
    async def permit(response: Response) -> Response:
        headers = response.headers
        headers["Referrer-Policy"] = "no-referrer"  # an address may have ?token= in it
        origin = request.headers.get("Origin")
        if door.origins.allowed:
            response.vary.add("Origin")
        if origin is not None and door.origins.listed(origin):
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = SAFE_HEADERS
            if request.method == "OPTIONS":
                headers["Access-Control-Allow-Methods"] = "GET, HEAD, DELETE"
                headers["Access-Control-Allow-Headers"] = "Authorization, Range, If-None-Match, If-Range"
                headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
        return response


def shelf(store: Store) -> Shelf:
    """The exports that whoever makes the present request may see."""
    return Shelf(store, g.viewer)

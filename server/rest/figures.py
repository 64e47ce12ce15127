"""GET /metrics: the server's figures for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from quart_schema import hide
from quart_trio.wrappers import TrioResponse as Response

from server.monitoring.metrics import CONTENT_TYPE, exposition

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quart_trio import QuartTrio

    from server.monitoring.metrics import Snapshot


def add_metrics(app: QuartTrio, snapshot: Callable[[], Snapshot], data_dir: Path) -> None:
    """Add the route. `snapshot` is asked for each request."""

    @app.get("/metrics")
    @hide  # Prometheus knows what it gets, and no client of the exports needs it
    async def metrics() -> Response:
        # The moment is taken here; what is written of it, and asked of the disk, is nothing streams should wait for.
        text = await trio.to_thread.run_sync(exposition, snapshot(), data_dir)
        return Response(text, content_type=CONTENT_TYPE)

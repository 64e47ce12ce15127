"""How late the event loop is: what every stream feels when something holds it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from server.monitoring.tally import Histogram

PERIOD_SECONDS: Final = 1.0
"""Each look wakes a process that may have nothing else to do, which costs 0.3 ms of CPU."""


async def watch_lag(lag: Histogram) -> None:
    """Sleep again and again, and count by how much each awakening is late, in seconds, until cancelled."""
    while True:
        due = trio.current_time() + PERIOD_SECONDS
        await trio.sleep_until(due)
        lag.observe(max(0.0, trio.current_time() - due))

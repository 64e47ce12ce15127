"""One of the connections that a stream is served over, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from server.transport.wire import Wire


class Connection:
    """A wire that a session is served over, until it is let go. `finals`: how many its client has, if it came back."""

    def __init__(self, wire: Wire, finals: int | None = None) -> None:
        self.wire = wire
        self.finals = finals
        self.heard_at = trio.current_time()
        self.listening = trio.CancelScope()
        self.dead = False
        self.caught_up = trio.Event()
        """Set when its client has been told what it missed."""
        self.sent = trio.Event()
        self.released = trio.Event()
        if finals is None:
            self.caught_up.set()

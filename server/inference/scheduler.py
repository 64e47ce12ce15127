"""Which stream is decoded next, and on how many cores. Pure decisions; `server.inference.pool` carries them out.

Earliest deadline first. A window that a final waits for is due at once, one for a partial has `PARTIAL_PATIENCE`:
finals go before partials that came about the same time, yet a client that sends faster than real time, all of
whose windows make finals, cannot starve the partials of the others.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import Final

PARTIAL_PATIENCE: Final = 2.0
"""Seconds by which a partial may be overtaken: what a reader of live captions still forgives."""


@dataclass(frozen=True, slots=True, order=True)
class Ticket:
    """A stream's place in the line: by deadline (seconds on any one clock), then by order of arrival."""

    deadline: float
    number: int


class Scheduler:
    """A fixed number of slots, and the line of tickets that wait for one."""

    def __init__(self, slots: int, cores: int) -> None:
        if slots < 1 or cores < 1:
            raise ValueError("a scheduler needs at least one slot and one core")
        self.slots = slots
        self.busy = 0
        self._cores = cores
        self._line: list[Ticket] = []
        self._issued = 0

    @property
    def threads(self) -> int:
        """Cores that the inference granted last may have: all that nobody else wants, but one at least.

        Two inferences on one core each get through 1.3 times as much as one after the other on two.
        """
        wanted = min(self.slots, self.busy + len(self._line))
        return max(1, self._cores // max(1, wanted))

    @property
    def share(self) -> int:
        """Cores for each inference when all slots are busy."""
        return max(1, self._cores // self.slots)

    def enqueue(self, *, final: bool, now: float) -> Ticket:
        """Take a place in the line."""
        return self._enqueue(now if final else now + PARTIAL_PATIENCE)

    def enqueue_background(self) -> Ticket:
        """Take a place behind all others, those yet to come included."""
        return self._enqueue(math.inf)

    def _enqueue(self, deadline: float) -> Ticket:
        self._issued += 1
        ticket = Ticket(deadline, self._issued)
        heapq.heappush(self._line, ticket)
        return ticket

    def withdraw(self, ticket: Ticket) -> None:
        """Leave the line without having been served."""
        self._line.remove(ticket)
        heapq.heapify(self._line)

    def grant(self) -> Ticket | None:
        """Give a free slot to the first in line, if there are both; `release` gives it back."""
        if self.busy >= self.slots or not self._line:
            return None
        self.busy += 1
        return heapq.heappop(self._line)

    def release(self) -> None:
        """A slot is free again."""
        if not self.busy:
            raise RuntimeError("no slot was taken")
        self.busy -= 1

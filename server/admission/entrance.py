"""Who gets a stream now, who waits in line for one, and who is sent away. `server.admission.rules` decides."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from server.admission.rules import SHUTTING_DOWN, Demand, Limits, Refusal, refusal, streams_held

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.inference.pool import InferencePool

RECHECK_SECONDS: Final = 1.0
"""The load falls by itself; who waits in line is looked after that often, besides whenever a stream ends."""


@dataclass(frozen=True, slots=True)
class EntranceStatistics:
    """A snapshot: streams now, clients in line, streams that the host holds, and streams let in since the start."""

    streams: int
    waiting: int
    held: int
    admitted: int


class Entrance:
    """Counts those who are in."""

    def __init__(self, pool: InferencePool, limits: Limits, queue: int, has_room: Callable[[], bool]) -> None:
        """`queue` is how many may wait; `has_room` tells whether there is room on the disk for another export."""
        self._pool = pool
        self._limits = limits
        self._queue = queue
        self._has_room = has_room
        self._addresses: Counter[str] = Counter()
        self._line: deque[Place] = deque()
        self._admitted = 0
        self._closed = False

    @property
    def streams(self) -> int:
        """How many are in."""
        return self._addresses.total()

    @property
    def empty(self) -> bool:
        """Whether nobody is in, nor in line."""
        return not (self.streams or self._line)

    def full(self) -> bool:
        """Whether there are as many streams as the host holds by what was measured, where that is a limit."""
        return self._limits.load and self.streams >= self.statistics().held

    def close(self) -> None:
        """Let nobody in from now on. Those in line are to leave it."""
        self._closed = True

    def refusal(self, address: str = "") -> Refusal | None:
        """Why somebody who came now from this address would not be let in; None if he would."""
        if self._closed:
            return SHUTTING_DOWN
        if not self._has_room():
            return Refusal(
                "disk_full",
                "The disk has no room for another recording. Try again when some has been made.",
                retry_after=60,
                passes=False,
            )
        pool = self._pool.statistics()
        held = streams_held(self._pool.meter.cost, pool.slots)
        return refusal(Demand(self.streams, self._addresses[address], held, pool.waited), self._limits)

    def arrive(self, address: str) -> Place | Refusal:
        """Ask for a stream. A place is to be left by `Place.leave`, whatever becomes of it."""
        reason = self.refusal(address)
        if reason is not None and not (reason.passes and len(self._line) < self._queue):
            return reason
        place = Place(self, address)
        if reason is not None or self._line:
            self._line.append(place)
        else:
            self._let_in(place)
        return place

    def statistics(self) -> EntranceStatistics:
        """How things stand."""
        held = streams_held(self._pool.meter.cost, self._pool.statistics().slots)
        return EntranceStatistics(self.streams, len(self._line), held, self._admitted)

    def position(self, place: Place) -> int:
        """Its place in the line, from 1; 0 if it is in."""
        return 0 if place.admitted.is_set() else self._line.index(place) + 1

    def look_after(self) -> None:
        """Let in those in line for whom there is room by now."""
        for place in tuple(self._line):
            reason = self.refusal(place.address)
            if reason is None:
                self._line.remove(place)
                self._let_in(place)
            elif reason.passes:
                break

    def leave(self, place: Place) -> None:
        """Somebody goes, from inside or from the line."""
        if place.admitted.is_set():
            self._addresses[place.address] -= 1
            self._addresses += Counter()  # forget those who are at zero
            self.look_after()
        else:
            self._line.remove(place)

    def _let_in(self, place: Place) -> None:
        self._admitted += 1
        self._addresses[place.address] += 1
        place.admitted.set()


class Place:
    """Somebody's place: inside, or in line."""

    def __init__(self, entrance: Entrance, address: str) -> None:
        self.address = address
        self.admitted = trio.Event()
        self._entrance = entrance

    def leave(self) -> None:
        """Give it up."""
        self._entrance.leave(self)

    async def turn(self, tell: Callable[[int], Awaitable[None]]) -> None:
        """Wait until let in. `tell` is given the place in line (from 1) whenever it has changed, and 0 in the end."""
        told = None
        while True:
            now = self._entrance.position(self)
            if now != told and (now or told is not None):
                await tell(now)
            told = now
            if not now:
                return
            with trio.move_on_after(RECHECK_SECONDS):
                await self.admitted.wait()
            self._entrance.look_after()

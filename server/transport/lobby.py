"""Connections that have not said yet what they want: how many there may be, and who makes way when it is too many.

Whoever means well says it within a round trip. So the one that has been silent the longest is the one to drop: a crowd
of half-open connections then cannot keep out those who come after it, however often it comes back.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOM: Final = 256
"""On each port: the files a process may have open (1024 as a rule) are needed for streams and exports too."""


class Lobby:
    """A waiting room. `on_crowded` is called whenever somebody is dropped because there is no more room."""

    def __init__(self, room: int = ROOM, on_crowded: Callable[[], None] = lambda: None) -> None:
        self._room = room
        self._on_crowded = on_crowded
        self._guests: dict[Guest, None] = {}  # in the order of their coming

    @contextmanager
    def guest(self) -> Iterator[Guest]:
        """Somebody comes, and is in the lobby at first. The block is cancelled if there is no more room for it."""
        with trio.CancelScope() as scope:
            guest = Guest(self, scope)
            guest.wait()
            try:
                yield guest
            finally:
                guest.go_on()

    def seat(self, guest: Guest) -> None:
        """Let somebody wait here, as the last who came."""
        self._guests.pop(guest, None)
        self._guests[guest] = None
        if len(self._guests) > self._room:
            oldest = next(iter(self._guests))
            self.release(oldest)
            oldest.scope.cancel()
            self._on_crowded()

    def holds(self, guest: Guest) -> bool:
        """Whether somebody waits here."""
        return guest in self._guests

    def release(self, guest: Guest) -> None:
        """Somebody waits here no longer."""
        self._guests.pop(guest, None)


class Guest:
    """One connection. `scope` is cancelled if it has to make way."""

    def __init__(self, lobby: Lobby, scope: trio.CancelScope) -> None:
        self.scope = scope
        self._lobby = lobby

    @property
    def waiting(self) -> bool:
        """Whether it is in the lobby."""
        return self._lobby.holds(self)

    def wait(self) -> None:
        """It is silent (again), and may be dropped."""
        self._lobby.seat(self)

    def go_on(self) -> None:
        """It has said what it wants, and is kept."""
        self._lobby.release(self)

"""What becomes of a client that asks for a stream: refused, made to wait, let in, or brought back to its own.

Keys and origins first (`server.access.door`), then whether there is room (`server.admission.entrance`), then the
session.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from server.access.door import turn_away
from server.admission.rules import SHUTTING_DOWN, Refusal
from server.errors import ProtocolError, RefusedError
from server.monitoring import logs
from server.protocol import WireQueued, encode
from server.streams.dialects import DIALECTS
from server.streams.resumption import Resumption, Resumptions, requested
from server.streams.session import Session
from server.transport.unread import Unread
from server.transport.wire import DisconnectedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.access.door import Door
    from server.admission.entrance import Entrance, Place
    from server.streams.services import Services
    from server.transport.gate import Guard
    from server.transport.websocket import Request
    from server.transport.wire import Wire

IN_LINE_PING_SECONDS: Final = 2.0
"""How often it is looked whether a client in line is still there."""

IN_LINE_BYTES: Final = 4 * 2**20
"""Read of a client in line, two minutes of speech at 16 kHz; what comes after it, pings included, is not read yet."""

_logger = logging.getLogger(__name__)


class Caller:
    """A client whose handshake may have been answered already, because its key was to come in the first frame."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.wire: Wire | None = None

    async def accept(self, export_id: str) -> Wire:
        """Answer the handshake, if that is still to be done. Raises `DisconnectedError`."""
        if self.wire is None:
            self.wire = await self.request.accept(export_id)
        return self.wire

    async def refuse(self, refused: RefusedError) -> None:
        """Tell the client why it may not come in."""
        if self.wire is None:
            await self.request.reject(refused.status, refused.code, str(refused), retry_after=refused.retry_after)
        else:
            await turn_away(self.wire, refused)


class Reception:
    """Receives clients until the server drains, and knows who is in."""

    def __init__(self, services: Services, door: Door, entrance: Entrance) -> None:
        self.draining = trio.Event()
        self.empty = trio.Event()
        """Set when the server drains, the last stream has ended, and those in line have been told."""
        self._services = services
        self._door = door
        self._entrance = entrance
        self._resumptions = Resumptions()

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return self._entrance.streams

    def refusal(self) -> Refusal | None:
        """Why a client that came now would not be let in; None if it would."""
        return self._entrance.refusal()

    def drain(self) -> None:
        """Take no new streams, send away those in line; streams that are open are finished and stored."""
        self._entrance.close()
        self.draining.set()
        self._look_whether_empty()

    async def handle(self, sessions: Guard, request: Request) -> None:
        """Receive a client, and serve it while it is connected. The sessions' own tasks run in `sessions`."""
        export_id = self._services.store.new_id()
        caller = Caller(request)
        with logs.about_stream(export_id):
            try:
                await self._receive(sessions, caller, export_id)
            except RefusedError as refused:
                await self._turn_away(caller, refused)
            except DisconnectedError as gone:
                _logger.info("A handshake broke off: %s", gone)

    async def _turn_away(self, caller: Caller, refused: RefusedError) -> None:
        _logger.info("A client is refused", extra={"peer": caller.request.address, "reason": refused.code})
        self._services.tally.refused[refused.code] += 1
        await caller.refuse(refused)

    async def _receive(self, sessions: Guard, caller: Caller, export_id: str) -> None:
        try:
            wish = requested(caller.request.query)
        except ProtocolError as error:
            raise RefusedError(400, error.code, str(error)) from error
        owner = self._door.visitor(caller.request)
        if wish is None:
            owner = await self._recognise(caller, owner, export_id)
            await self._admit(sessions, caller, export_id, owner)
        else:
            await self._resume(caller, wish, owner)

    async def _recognise(self, caller: Caller, owner: str | None, export_id: str) -> str | None:
        """The owner that the handshake told, or else its first frame: who has shown no key takes up no place either."""
        if self._door.locked and owner is None:
            owner, caller.wire = await self._door.ask(await caller.accept(export_id))
        caller.request.recognised()
        return owner

    async def _resume(self, caller: Caller, wish: Resumption, owner: str | None) -> None:
        if not wish.possible:
            raise _no_such_stream()
        with logs.about_stream(wish.export_id):
            # Before it is looked for: who has shown no key does not learn which streams there are.
            owner = await self._recognise(caller, owner, wish.export_id)
            session = self._resumptions.find(wish.export_id)
            if session is None or session.owner != owner:
                raise _no_such_stream()
            _logger.info("A client is back", extra={"peer": caller.request.address})
            await session.resume(await caller.accept(wish.export_id), wish.finals)

    async def _admit(self, sessions: Guard, caller: Caller, export_id: str, owner: str | None) -> None:
        """Begin a stream when its turn has come. From then on the place is the session's, resumed or not."""
        place = self._entrance.arrive(caller.request.address)
        if isinstance(place, Refusal):
            raise _refused(place)
        dialect = DIALECTS[caller.request.path]
        try:
            wire = Unread(await caller.accept(export_id))
            tell = partial(self._tell_place, wire) if dialect.resumable else _say_nothing
            await _wait_in_line(place, wire, tell, self.draining)
            if self.draining.is_set():
                # Told before the place is left, for with the last of them the connections are ended.
                await self._turn_away(caller, _refused(SHUTTING_DOWN))
                self._leave(place)
                return
            _logger.info("A stream begins", extra={"peer": caller.request.address, "key": owner or "none"})
            session = Session(wire, export_id, self._services, dialect, self.draining, owner=owner)
        except BaseException:
            self._leave(place)
            raise
        sessions.start_soon(self._run, session, export_id, place)
        await session.released()

    async def _run(self, session: Session, export_id: str, place: Place) -> None:
        self._resumptions.add(export_id, session)
        try:
            await session.run()
        finally:
            self._resumptions.remove(export_id)
            self._leave(place)
            _logger.info("The stream has ended")

    async def _tell_place(self, wire: Wire, place: int) -> None:
        """Tell a client its place in line. One that does not read is cut off: raises `DisconnectedError`."""
        with trio.move_on_after(self._services.limits.send_timeout):
            await wire.send(encode(WireQueued(place)))
            return
        _logger.warning("A client in line does not read; it is cut off")
        self._services.tally.fault("slow_reader")
        wire.abort()
        raise DisconnectedError(clean=False)

    def _leave(self, place: Place) -> None:
        place.leave()
        self._look_whether_empty()

    def _look_whether_empty(self) -> None:
        if self.draining.is_set() and self._entrance.empty:
            self.empty.set()


def _refused(reason: Refusal) -> RefusedError:
    return RefusedError(503, reason.code, reason.message, retry_after=reason.retry_after)


def _no_such_stream() -> RefusedError:
    return RefusedError(404, "no_such_stream", "There is no stream under this ID that could be gone on with.")


async def _wait_in_line(
    place: Place, wire: Unread, tell: Callable[[int], Awaitable[None]], draining: trio.Event
) -> None:
    """Wait until it is somebody's turn, or the server drains.

    Raises `DisconnectedError` as soon as it is seen that the client has gone: else, when its turn came, it would hold a
    place for as long as streams wait for their clients. Its audio is read meanwhile, up to a bound: who sends pings of
    its own gets no answer from one that does not read.
    """
    gone: DisconnectedError | None = None

    async def mind(step: Callable[[], Awaitable[None]]) -> None:
        nonlocal gone
        try:
            await step()
        except DisconnectedError as error:
            gone = error
            nursery.cancel_scope.cancel()

    async def watch() -> None:
        while True:
            await trio.sleep(IN_LINE_PING_SECONDS)
            # No answer tells nothing: once the bound is reached, what comes after it is not read.
            with trio.move_on_after(IN_LINE_PING_SECONDS):
                await wire.ping()

    async def give_up() -> None:
        await draining.wait()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give_up)
        nursery.start_soon(mind, watch)
        nursery.start_soon(mind, partial(wire.read_ahead, IN_LINE_BYTES))
        await mind(partial(place.turn, tell))
        nursery.cancel_scope.cancel()
    if gone is not None:
        raise gone


async def _say_nothing(place: int) -> None:
    """Vosk's clients would take it for the reply to their first frame."""
    del place
    await trio.lowlevel.checkpoint()

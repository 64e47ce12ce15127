"""One stream from its first frame to its export: receive, infer and send, side by side in one nursery.

A session ends when its stream is done and the export is on the disk, whatever has become of the client. A connection
that breaks off may be followed by another one: the stream waits for a while, and goes on where it was.
"""

from __future__ import annotations

import logging
import math
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

import trio

from server.errors import ProtocolError
from server.protocol import Configure, Eof, decode
from server.streams.connection import Connection
from server.streams.live import LiveStream
from server.streams.outbox import Outbox
from server.transport.wire import DisconnectedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.streams.dialects import Dialect
    from server.streams.services import Services
    from server.transport.wire import Wire

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
INTERNAL_ERROR: Final = 1011

_logger = logging.getLogger(__name__)


class _Outcome(Enum):
    """How receiving over a connection came to its end."""

    ENDED = auto()
    """No more audio is to be taken."""
    BROKEN = auto()
    """The client may come back."""
    REPLACED = auto()
    """It is back already."""


class Session:
    """One stream. When `draining` is set no more audio is waited for, and the stream is finished.

    `owner` is the holder of the client's API key; the export will be theirs.
    """

    def __init__(  # noqa: PLR0913  the composition root calls it once
        self,
        wire: Wire,
        export_id: str,
        services: Services,
        dialect: Callable[[Outbox], Dialect],
        draining: trio.Event,
        *,
        owner: str | None = None,
    ) -> None:
        self.owner = owner
        self._connection: Connection | None = Connection(wire)
        self._outbox = Outbox(services.tally)
        self._dialect = dialect(self._outbox)
        self._live = LiveStream(export_id, services, self._dialect, owner)
        self._limits = services.limits
        self._tally = services.tally
        self._draining = draining
        self._back = trio.Event()
        self._over = False

    @property
    def resumable(self) -> bool:
        """Whether the client may go on over another connection."""
        over = self._over or self._outbox.deserted or self._draining.is_set()
        return self._dialect.resumable and self._limits.resume > 0 and not over

    async def run(self) -> None:
        """Serve the client until its export is stored and it has been told, or is gone."""
        try:
            try:
                await self._serve()
            finally:
                self._over = True
                await self._live.abandon()
            await self._close(*self._farewell())
        except Exception:
            await self._close(INTERNAL_ERROR, "the server has failed")
            raise
        finally:
            self._tally.ended[self._live.export] += 1
            if self._connection is not None:
                self._connection.released.set()

    async def released(self) -> None:
        """Wait until the connection that there is now is not needed any more."""
        if self._connection is not None:
            await self._connection.released.wait()

    async def resume(self, wire: Wire, finals: int) -> None:
        """Go on over another connection, whose client has the first `finals` finals; wait until it is let go.

        The connection that there was is closed: often it is dead, and the server has not yet noticed.
        """
        if not self.resumable:
            await wire.close(GOING_AWAY, "the stream has ended")
            return
        before = self._connection
        self._connection = connection = Connection(wire, finals)
        self._back.set()
        if before is not None:
            before.listening.cancel()
            try:
                await before.wire.close(GOING_AWAY, "the stream goes on over another connection")
            finally:
                before.released.set()
        await connection.released.wait()

    def _farewell(self) -> tuple[int, str]:
        match self._live.export:
            case "stored":
                return NORMAL, ""
            case "none":
                return GOING_AWAY, "nothing was heard"
            case _:
                return INTERNAL_ERROR, "the export could not be stored"

    async def _close(self, code: int, reason: str) -> None:
        if self._connection is not None:
            await self._connection.wire.close(code, reason)

    async def _serve(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._converse)
            nursery.start_soon(self._watch_for_shutdown)
            await self._live.infer()
            stored = await self._live.store()
            self._over = True
            if self._connection is not None:
                # Who has come back while the export was written is first told what it missed, which voids all else.
                await self._connection.caught_up.wait()
            self._dialect.ended(self._live.export_id if stored else None)
            self._outbox.close()
            if self._connection is not None:
                await self._connection.sent.wait()
            nursery.cancel_scope.cancel()

    async def _converse(self) -> None:
        """Serve one connection after the other until no more audio will come, and then finish the stream."""
        while (connection := self._connection) is not None:
            async with trio.open_nursery() as nursery:
                if connection.finals is not None:
                    await self._live.catch_up(connection.finals)
                    connection.caught_up.set()
                nursery.start_soon(self._send, connection)
                nursery.start_soon(self._watch_peer, connection)
                outcome = await self._receive(connection)
                if outcome is _Outcome.ENDED:
                    await self._finish()
                    await connection.sent.wait()
                nursery.cancel_scope.cancel()
            if outcome is _Outcome.ENDED:
                return
            if outcome is _Outcome.BROKEN:
                await self._wait_for_return(connection)
        await self._finish()

    async def _finish(self) -> None:
        self._over = True
        await self._live.finish()

    async def _wait_for_return(self, connection: Connection) -> None:
        """Hold the stream. If nobody comes back, there is no connection and nobody to send to any more.

        The utterance stays open: the client sends the rest of its word when it is back.
        """
        self._back = trio.Event()
        if self._connection is not connection:
            return
        self._connection = None
        connection.released.set()
        await self._live.store_audio()
        if not self._draining.is_set():  # which may have been told to the event before
            with trio.move_on_after(self._limits.resume):
                await self._back.wait()
        if self._connection is None:
            self._outbox.desert()

    async def _receive(self, connection: Connection) -> _Outcome:
        patience = math.inf  # until there is audio to make a final of
        try:
            while (outcome := self._outcome(connection)) is None:
                if self._outbox.crowded and not connection.sent.is_set():
                    await self._let_it_read(connection)
                    continue
                idle = connection.heard_at + self._limits.idle
                with trio.move_on_at(min(idle, connection.heard_at + patience)) as connection.listening:
                    message = await connection.wire.receive()
                if not connection.listening.cancelled_caught:
                    connection.heard_at = trio.current_time()
                    if await self._take(message):
                        patience = self._limits.stall
                        connection.heard_at = trio.current_time()  # that the client had to wait is not its silence
                elif trio.current_time() >= idle:
                    self._end("idle_timeout", f"Nothing has come for {self._limits.idle:g} seconds.")
                elif self._outcome(connection) is None:
                    await self._live.pause()
                    patience = math.inf
        except DisconnectedError as gone:
            _logger.info("stream %s: %s", self._live.export_id, gone)
            if connection is not self._connection:
                return _Outcome.REPLACED
            if self.resumable and not gone.clean:
                return _Outcome.BROKEN
            self._outbox.desert()
            return _Outcome.ENDED
        return outcome

    async def _let_it_read(self, connection: Connection) -> None:
        """Take nothing more from a client before it has read what was said to it; TCP slows it down."""
        with trio.CancelScope() as connection.listening:
            await self._outbox.room()
        connection.heard_at = trio.current_time()  # that the client had to wait is not its silence

    async def _take(self, message: bytes | str) -> bool:
        """Do what a message asks for. Returns whether it was audio."""
        if isinstance(message, str):
            await self._obey(message)
        elif self._live.ended:
            self._complain("after_eof", "The stream has ended and takes no more audio; open a new connection.")
        elif message:
            await self._live.hear(message)
            self._dialect.heard()
            if self._live.seconds >= self._limits.stream:
                self._end("stream_limit", "This stream is as long as one may be; go on in a new connection.")
            return True
        else:
            await self._flush()
        return False

    def _outcome(self, connection: Connection) -> _Outcome | None:
        """Whether there is a reason to receive no more over this connection."""
        if connection is not self._connection:
            return _Outcome.REPLACED
        if self._draining.is_set() or self._over or self._outbox.deserted or self._live.failed:
            return _Outcome.ENDED
        if connection.dead:
            if self.resumable:
                return _Outcome.BROKEN
            self._outbox.desert()
            return _Outcome.ENDED
        return None

    def _end(self, code: str, sentence: str) -> None:
        self._complain(code, f"{sentence} This stream is being finished and stored.")
        self._over = True

    async def _obey(self, text: str) -> None:
        try:
            command = decode(text)
            if isinstance(command, Configure):
                if command.config is not None:
                    self._live.configure(command.config)
            elif isinstance(command, Eof):
                await self._live.begin()
                await self._live.finish()
            else:
                await self._flush()
        except ProtocolError as error:
            self._complain(error.code, str(error))

    async def _flush(self) -> None:
        self._dialect.flushed()
        await self._live.pause()

    async def _send(self, connection: Connection) -> None:
        try:
            while (frame := await self._outbox.take()) is not None:
                with trio.fail_after(self._limits.send_timeout):
                    await connection.wire.send(frame)
        except trio.TooSlowError:
            _logger.warning("stream %s: the client does not read; it is ended", self._live.export_id)
            self._tally.fault("slow_reader")
            connection.wire.abort()
            if connection is self._connection:
                self._outbox.desert()
                connection.listening.cancel()
        except DisconnectedError:
            # Who receives finds out too, and decides what is to be done; it must not wait for what nobody takes.
            if connection is self._connection:
                self._outbox.reset()
        finally:
            connection.sent.set()

    async def _watch_peer(self, connection: Connection) -> None:
        """Notice a client that is not there any more although its connection seems to be."""
        alive = connection.heard_at
        while True:
            alive = max(alive, connection.heard_at)
            await trio.sleep_until(alive + self._limits.ping)
            if connection.heard_at > alive:
                continue
            with trio.move_on_after(self._limits.ping) as answer:
                try:
                    await connection.wire.ping()
                except DisconnectedError:
                    return
            waits = self._live.hearing or self._outbox.crowded  # so that no answer would be seen
            if answer.cancelled_caught and connection.heard_at <= alive and not waits:
                _logger.info("stream %s: the client does not answer; it is gone", self._live.export_id)
                connection.dead = True
                connection.wire.abort()
                connection.listening.cancel()
                return
            alive = trio.current_time()

    async def _watch_for_shutdown(self) -> None:
        await self._draining.wait()
        self._complain("shutting_down", "The server is shutting down; this stream is being finished and stored.")
        self._back.set()
        if self._connection is not None:
            self._connection.listening.cancel()

    def _complain(self, code: str, sentence: str) -> None:
        self._dialect.complain(code, sentence)

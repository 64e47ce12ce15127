"""One client from its first frame to its export: receive, infer and send, side by side in one nursery.

A session ends when its stream is done and the export is on the disk, whatever has become of the client.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final

import trio

from server.errors import ProtocolError
from server.live import LiveStream
from server.outbox import Outbox
from server.protocol import Configure, Eof, decode
from server.wire import DisconnectedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.dialects import Dialect
    from server.live import Services
    from server.wire import Wire

NORMAL: Final = 1000
INTERNAL_ERROR: Final = 1011

_logger = logging.getLogger(__name__)


class Session:
    """One stream of one client. When `draining` is set no more audio is waited for, and the stream is finished.

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
        self._wire = wire
        self._outbox = Outbox(services.tally)
        self._dialect = dialect(self._outbox)
        self._live = LiveStream(export_id, services, self._dialect, owner)
        self._stall = services.stall
        self._send_timeout = services.send_timeout
        self._tally = services.tally
        self._draining = draining
        self._sent = trio.Event()
        self._listening = trio.CancelScope()

    async def run(self) -> None:
        """Serve the client until its export is stored and it has been told, or is gone."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._receive)
                nursery.start_soon(self._send)
                nursery.start_soon(self._watch_for_shutdown)
                await self._live.infer()
                self._dialect.ended(self._live.export_id if await self._live.store() else None)
                self._outbox.close()
                await self._sent.wait()
                nursery.cancel_scope.cancel()
        finally:
            await self._live.abandon()
            self._tally.ended["stored" if self._live.stored else "interrupted"] += 1
        if self._live.stored:
            await self._wire.close(NORMAL, "")
        else:
            await self._wire.close(INTERNAL_ERROR, "the export could not be stored")

    async def _receive(self) -> None:
        patience = math.inf  # until there is audio to make a final of
        try:
            while not (self._draining.is_set() or self._outbox.deserted or self._live.failed):
                with trio.move_on_after(patience) as self._listening:
                    message = await self._wire.receive()
                if self._listening.cancelled_caught:
                    await self._live.pause()
                    patience = math.inf
                elif isinstance(message, str):
                    await self._obey(message)
                elif self._live.ended:
                    self._complain("after_eof", "The stream has ended and takes no more audio; open a new connection.")
                elif message:
                    await self._live.hear(message)
                    self._dialect.heard()
                    patience = self._stall
                else:
                    await self._flush()
        except DisconnectedError as gone:
            _logger.info("stream %s: %s", self._live.export_id, gone)
            self._outbox.desert()
        await self._live.finish()

    async def _obey(self, text: str) -> None:
        try:
            command = decode(text)
            if isinstance(command, Configure):
                if command.config is not None:
                    self._live.configure(command.config)
            elif isinstance(command, Eof):
                await self._live.finish()
            else:
                await self._flush()
        except ProtocolError as error:
            self._complain(error.code, str(error))

    async def _flush(self) -> None:
        self._dialect.flushed()
        await self._live.pause()

    async def _send(self) -> None:
        try:
            while (frame := await self._outbox.take()) is not None:
                with trio.fail_after(self._send_timeout):
                    await self._wire.send(frame)
        except trio.TooSlowError:
            _logger.warning("stream %s: the client does not read; it is ended", self._live.export_id)
            self._tally.fault("slow_reader")
            self._wire.abort()
            self._outbox.desert()
            self._listening.cancel()
        except DisconnectedError:
            self._outbox.desert()
        self._sent.set()

    async def _watch_for_shutdown(self) -> None:
        await self._draining.wait()
        self._complain("shutting_down", "The server is shutting down; this stream is being finished and stored.")
        self._listening.cancel()

    def _complain(self, code: str, sentence: str) -> None:
        self._dialect.complain(code, sentence)

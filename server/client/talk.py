"""A stream from its first frame to its export, over one connection or, where those break off, over several."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import trio

from server.client.connection import Resumption, connect
from server.errors import BrokenOffError, ClientError, StreamRefusedError
from server.protocol import WireError, WireFinal, WireQueued, WireResumed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from server.client.captions import Captions
    from server.client.connection import Received, Transcription
    from server.client.frames import Frames
    from server.client.tape import Tape
    from server.protocol import StreamConfig

RETRY_S: Final = 1.0
HOLD_S: Final = 30.0
"""For how long a server holds a stream whose connection broke off, unless it is set otherwise (`resume_s`)."""

PING_S: Final = 5.0
"""How often it is looked whether the other side is still there: a network that is gone says nothing."""

ANSWER_S: Final = 20.0
"""How long an answer may take: a server that is behind takes what was sent before it first."""

BAD_CONFIG: Final = "bad_config"
"""The server's word for a configuration that it does not take."""


class Talk:
    """One stream."""

    def __init__(  # noqa: PLR0913  the command makes it once, by name
        self,
        url: str,
        frames: Frames,
        tape: Tape,
        shown: Captions,
        *,
        config: StreamConfig | None = None,
        key: str | None = None,
        watched: bool,
    ) -> None:
        """`tape` is that of `frames`; `watched`: the server is expected to keep up, so that its silence tells."""
        self.export_id: str | None = None
        self.rest_port: int | None = None
        """The port of the server where the export will be, if it has told it."""
        self._url = url
        self._frames = frames
        self._tape = tape
        self._shown = shown
        self._config = config
        self._key = key
        self._watched = watched
        self._finals = 0
        self._announced: str | None = None
        self._turn = trio.Event()
        self._turn.set()

    @property
    def stream_id(self) -> str | None:
        """The ID that the export will have, known from the beginning; None where there will be none, as in line."""
        return self._announced if self._turn.is_set() else None

    async def run(self) -> None:
        """Talk until the server has told the export's ID. Ctrl-C ends the audio, and a second one all.

        Raises `ClientError`, or in a group `SourceError` or `KeyboardInterrupt`.
        """
        failure: ClientError | None = None
        async with trio.open_nursery() as nursery:
            try:
                await self._stream(nursery)
            except ClientError as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _stream(self, nursery: trio.Nursery) -> None:
        resumption: Resumption | None = None
        patience = 0.0
        while True:
            async with self._connected(resumption, patience) as transcription:
                if not patience:
                    nursery.start_soon(self._tape.record)
                    nursery.start_soon(self._mind_interrupts)
                if resumption is None:
                    self._announced = transcription.stream_id
                    self.rest_port = transcription.rest_port
                    self._turn.set()
                    self._tape.rewind(0)  # what was sent in another line is nowhere
                await self._converse(transcription, resumed=resumption is not None)
                if self.export_id is not None:
                    return
                if self._announced is None:
                    raise BrokenOffError("The connection broke before the transcript was complete.")
                self._shown.note("The connection broke off; the stream goes on as soon as there is one again.")
                await transcription.drop()
            resumption = Resumption(self._announced, self._finals) if self._turn.is_set() else None
            patience = HOLD_S

    @asynccontextmanager
    async def _connected(self, resumption: Resumption | None, patience: float) -> AsyncGenerator[Transcription, None]:
        """Connect, again and again for so many seconds if there is no server. Raises `ClientError`."""
        deadline = trio.current_time() + patience
        while True:
            async with AsyncExitStack() as stack:
                try:
                    transcription = await stack.enter_async_context(
                        connect(self._url, config=self._config, key=self._key, resumption=resumption)
                    )
                except ClientError as error:
                    if isinstance(error, StreamRefusedError) or trio.current_time() >= deadline:
                        raise
                else:
                    yield transcription
                    return
            await trio.sleep(RETRY_S)

    async def _converse(self, transcription: Transcription, *, resumed: bool) -> None:
        """Talk over one connection until the ID has come or it breaks off. Raises `ClientError` for any other end."""
        failure: ClientError | None = None
        async with trio.open_nursery() as nursery:
            if not resumed:
                nursery.start_soon(self._speak, transcription)
            if self._watched:
                nursery.start_soon(watch, transcription, nursery.cancel_scope)
            try:
                async for received in transcription:
                    self._take(received)
                    if isinstance(received.message, WireResumed):
                        self._tape.rewind(received.message.bytes)
                        nursery.start_soon(self._speak, transcription)
            except ClientError as error:
                failure = error
            nursery.cancel_scope.cancel()
        self.export_id = transcription.export_id
        if failure is not None and not isinstance(failure, BrokenOffError):
            raise failure

    def _take(self, received: Received) -> None:
        """Take a message in. Raises `StreamRefusedError` if the stream would not be the one that was asked for."""
        match received.message:
            case WireFinal():
                self._finals += 1
            case WireQueued(place):
                self._line_up(place)
            case WireError(code, sentence) if code == BAD_CONFIG:
                self._announced = None  # an export in whatever language it is, of no use to anybody
                raise StreamRefusedError(sentence)
        self._shown.show(received)

    def _line_up(self, place: int) -> None:
        if not place:
            self._turn.set()
        elif self._turn.is_set():
            self._turn = trio.Event()

    async def _speak(self, transcription: Transcription) -> None:
        with suppress(ClientError):  # the receiving side fails too, and knows why
            async for frame in self._tape:
                await self._turn.wait()
                await transcription.send(frame)
                self._shown.sent(self._tape.sent)
            await transcription.eof()

    async def _mind_interrupts(self) -> None:
        with trio.open_signal_receiver(signal.SIGINT) as interrupts:
            async for _ in interrupts:
                if self._frames.stopped:
                    raise KeyboardInterrupt
                self._frames.stop()
                self._shown.note("Waiting for the rest of the transcript; Ctrl-C once more leaves at once.")


async def watch(transcription: Transcription, conversation: trio.CancelScope) -> None:
    """Cancel a conversation whose other side does not answer."""
    with suppress(ClientError):
        while True:
            await trio.sleep(PING_S)
            with trio.move_on_after(ANSWER_S) as answer:
                await transcription.ping()
            if answer.cancelled_caught:
                conversation.cancel()
                return

"""A session in which clients come and go, on a clock that jumps: what the tests of resumption share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import trio

from engine.policy import Policy
from engine.scripted import ScriptedRecognizer
from server.streams.dialects import Native
from server.streams.services import Services, StreamLimits
from server.streams.session import Session
from server.transport.wire import DisconnectedError
from tests.virtual_session import (
    EXPORT_ID,
    Loudness,
    MemoryRecorder,
    MemoryStore,
    Talker,
    VirtualPool,
)

if TYPE_CHECKING:
    from server.exports.store import Store
    from server.protocol import WireFinal

LIMITS = StreamLimits(stall=2.0, send_timeout=10.0, idle=60.0, ping=5.0, resume=20.0)


class KeepingRecorder(MemoryRecorder):
    def __init__(self, writing: float = 0.0, hearing: float = 0.0) -> None:
        super().__init__()
        self.wire: list[WireFinal] = []
        self._writing = writing
        self._hearing = hearing

    async def audio(self, pcm: bytes) -> None:
        await trio.sleep(self._hearing)
        await super().audio(pcm)

    async def complete(self, *, language: str | None, state: str = "complete") -> None:
        await trio.sleep(self._writing)
        await super().complete(language=language, state=state)

    async def final(self, final: WireFinal) -> None:
        await super().final(final)
        self.wire.append(final)


@dataclass
class KeepingStore(MemoryStore):
    reading: float = 0.0

    async def finals(self, export_id: str) -> list[WireFinal]:
        assert export_id == EXPORT_ID
        await trio.sleep(self.reading)
        return list(cast("KeepingRecorder", self.recorder).wire)


class Mobile(Talker):
    """A client whose connection breaks off when it has sent its frames, or goes deaf and dumb without a sign."""

    def __init__(self, *frames: tuple[float, bytes | str], then: str = "breaks") -> None:
        super().__init__(*frames)
        self._then = then

    async def receive(self) -> bytes | str:
        if not self._frames and self._then == "breaks":
            raise DisconnectedError(clean=False)
        return await super().receive()

    async def ping(self) -> None:
        if not self._frames and self._then == "vanishes":
            await trio.sleep_forever()
        await super().ping()


class Crowding(Talker):
    """A client that reads nothing, and whose connection is reset after a while."""

    def __init__(self, *frames: tuple[float, bytes | str], lasts: float) -> None:
        super().__init__(*frames)
        self._lasts = lasts

    async def receive(self) -> bytes | str:
        if not self._frames:
            await self._break_off()
        return await super().receive()

    async def send(self, text: str) -> None:
        del text
        await self._break_off()

    async def ping(self) -> None:
        await self._break_off()

    async def _break_off(self) -> None:
        await trio.sleep_until(self._start + self._lasts)
        raise DisconnectedError(clean=False)


class Struck(Mobile):
    """A client whose connection takes a moment to be let go when it has broken off; that is when a shutdown begins."""

    def __init__(self, *frames: tuple[float, bytes | str], draining: trio.Event) -> None:
        super().__init__(*frames)
        self._draining = draining

    async def send(self, text: str) -> None:
        del text
        try:
            await trio.sleep_forever()
        finally:
            self._draining.set()
            with trio.CancelScope(shield=True):
                await trio.sleep(0.1)


class Room:
    """A session in which clients come and go."""

    def __init__(  # noqa: PLR0913
        self,
        first: Talker,
        script: Any,
        limits: StreamLimits = LIMITS,
        dialect: Any = Native,
        *,
        writing: float = 0.0,
        reading: float = 0.0,
        hearing: float = 0.0,
        draining: trio.Event | None = None,
    ) -> None:
        self.recorder = KeepingRecorder(writing, hearing)
        services = Services(
            store=cast("Store", KeepingStore(self.recorder, reading)),
            pool=VirtualPool(ScriptedRecognizer(script), seconds=0.1),
            detector=Loudness,
            policy=Policy(language="en"),
            languages=frozenset({"en"}),
            model="scripted",
            limits=limits,
        )
        self.draining = trio.Event() if draining is None else draining
        self.session = Session(first, EXPORT_ID, services, dialect, self.draining)
        self.ended_at = 0.0

    async def run(self) -> None:
        start = trio.current_time()
        with trio.fail_after(3600):
            await self.session.run()
        self.ended_at = round(trio.current_time() - start, 3)

    @property
    def said(self) -> list[str]:
        return " ".join(self.recorder.finals).split()

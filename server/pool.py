"""The recognizers and the threads they run in: as many inferences at once as there are slots, in scheduled order."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from server.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from engine.recognizer import Recognizer
    from engine.types import Hypothesis, Window
    from server.scheduler import Ticket


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A snapshot: slots in all, slots at work, streams that wait for one, and the longest wait so far in seconds."""

    slots: int
    busy: int
    waiting: int
    waited: float = 0.0


class InferencePool:
    """Lends recognizers to streams. One slot per recognizer; each is used by one thread at a time."""

    def __init__(self, recognizers: Sequence[Recognizer], cores: int) -> None:
        """`cores`: how many threads all inferences together should use."""
        self._free = list(recognizers)
        self._scheduler = Scheduler(len(recognizers), cores)
        self._limiter = trio.CapacityLimiter(len(recognizers))
        self._granted: dict[Ticket, trio.Event] = {}

    @asynccontextmanager
    async def slot(self, *, final: bool) -> AsyncIterator[Slot]:
        """Wait for a turn; inside the block a recognizer is ours. `final`: a final depends on it.

        Take the window only when inside: by then newer audio has come.
        """
        await self._wait_for_turn(final=final)
        recognizer = self._free.pop()
        try:
            yield Slot(self, recognizer, self._scheduler.threads)
        finally:
            self._free.append(recognizer)
            self._scheduler.release()
            self._grant()

    async def infer(self, recognizer: Recognizer, window: Window, threads: int) -> Hypothesis:
        """Recognise in a worker thread; see `Slot.recognize`, which is how streams get here."""

        def work() -> Hypothesis:
            return recognizer.recognize(window, threads=threads, should_abort=_asks_to_stop)

        # Not abandoned when cancelled: the native context is in use until the thread returns.
        return await trio.to_thread.run_sync(work, limiter=self._limiter)

    def statistics(self) -> PoolStatistics:
        """How busy the pool is now."""
        waited = self._scheduler.waited(trio.current_time())
        return PoolStatistics(self._scheduler.slots, self._scheduler.busy, self._scheduler.waiting, waited)

    def close(self) -> None:
        """Free the recognizers. All slots must have been given back."""
        while self._free:
            self._free.pop().close()

    async def _wait_for_turn(self, *, final: bool) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        ticket = self._scheduler.enqueue(final=final, now=trio.current_time())
        granted = self._granted[ticket] = trio.Event()
        self._grant()
        try:
            await granted.wait()
        except trio.Cancelled:
            if granted.is_set():
                self._scheduler.release()
                self._grant()
            else:
                del self._granted[ticket]
                self._scheduler.withdraw(ticket)
            raise

    def _grant(self) -> None:
        while ticket := self._scheduler.grant():
            self._granted.pop(ticket).set()


@dataclass(frozen=True, slots=True)
class Slot:
    """A recognizer on loan, and how many threads it may use."""

    _pool: InferencePool
    _recognizer: Recognizer
    _threads: int

    async def recognize(self, window: Window) -> Hypothesis:
        """Recognise a window. Cancelling aborts the inference and waits until its thread has let go.

        Raises `AbortedError` after a cancellation (so that the caller learns of it even where its own scope ends
        right behind), and what `Recognizer.recognize` raises.
        """
        return await self._pool.infer(self._recognizer, window, self._threads)


def _asks_to_stop() -> bool:
    """Whether the task that waits for this thread has been cancelled. Called from native code, so it never raises."""
    try:
        trio.from_thread.check_cancelled()
    except trio.Cancelled:
        return True
    return False

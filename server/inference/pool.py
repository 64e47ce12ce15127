"""The recognizers and the threads they run in: as many inferences at once as there are slots, in scheduled order."""

from __future__ import annotations

import logging
import math
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import trio

from engine.agreement import cut_loops
from engine.errors import AbortedError, EngineError, ModelError
from engine.types import SAMPLE_RATE
from server.admission.rules import Meter
from server.inference.job import Inference
from server.inference.load import Load
from server.inference.scheduler import Scheduler
from server.inference.threads import Threads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from engine.recognizer import Recognizer
    from engine.types import Hypothesis, Window
    from server.inference.scheduler import Ticket

STOP_SECONDS: Final = 10.0
"""How long an inference may take to heed that it should stop: whisper.cpp looks up after each encoder pass."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A snapshot: slots in all, slots at work, streams that wait for one, and the longest wait so far in seconds.

    `inferences` counts those that went well, `faults` the others by kind: "failed" (raised, or could not be loaded),
    "nonsense" (words that are not in the window, or out of order), "loop" (a phrase said over and over, which was cut),
    "slow" (stopped after the timeout), "hung" (did not even stop; left behind), "replaced" (recognizers loaded in the
    place of hung ones).
    """

    slots: int
    busy: int
    waiting: int
    waited: float = 0.0
    inferences: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)


class InferencePool:
    """Lends recognizers to streams. One slot per recognizer; each is used by one thread at a time."""

    def __init__(
        self,
        recognizers: Sequence[Recognizer],
        cores: int,
        *,
        load: Callable[[], Recognizer] | None = None,
        timeout: float = math.inf,
    ) -> None:
        """`cores`: how many threads all inferences together may use; see `server.inference.threads`.

        An inference that takes longer than `timeout` seconds is stopped; if it does not heed that, its recognizer is
        left behind and another one made by `load` (called in a thread), when its slot is needed.
        """
        self.meter = Meter()
        self.load = Load(len(recognizers))
        self._free: list[Recognizer | None] = list(recognizers)
        self._scheduler = Scheduler(len(recognizers), cores)
        self._threads = Threads()
        self._load = load
        self._timeout = timeout
        self._granted: dict[Ticket, _Waiting] = {}
        self._loans: set[trio.CancelScope] = set()
        self._hung: set[int] = set()
        self._inferences = 0
        self._faults: Counter[str] = Counter()

    @asynccontextmanager
    async def slot(self, *, final: bool) -> AsyncIterator[Slot]:
        """Wait for a turn; inside the block a recognizer is ours. `final`: a final depends on it.

        Take the window only when inside: by then newer audio has come.
        """
        now = trio.current_time()
        await self._wait_for_turn(lambda: self._scheduler.enqueue(final=final, now=now), self._call_back)
        with self._lent() as recognizer:
            spare = self._scheduler.threads
            self.load.note(1, trio.current_time())
            try:
                yield Slot(self, recognizer, self._threads.choose(spare), spare)
            finally:
                self.load.note(-1, trio.current_time())

    async def recognize_in_background(self, window: Window) -> tuple[Hypothesis, float]:
        """Recognise a window while no stream wants the slot; what a stream interrupts is begun again.

        Returns what was heard, and the seconds that the inference itself took. Raises what `Slot.recognize` raises.
        """
        while True:
            await self._wait_for_turn(self._scheduler.enqueue_background)
            with self._lent() as recognizer, trio.CancelScope() as loan:
                self._loans.add(loan)
                try:
                    share, start = self._scheduler.share, trio.current_time()
                    hypothesis = await Slot(self, recognizer, share, share).recognize(window)
                    return hypothesis, trio.current_time() - start
                finally:
                    self._loans.discard(loan)

    async def infer(self, recognizer: Recognizer, window: Window, threads: int) -> Hypothesis:
        """Recognise in a worker thread; see `Slot.recognize`, which is how streams get here."""
        inference = Inference(recognizer, window, threads)
        try:
            with trio.move_on_after(self._timeout):
                await inference.ended.wait()
                return inference.result()
        finally:
            if not await inference.stop(min(STOP_SECONDS, self._timeout)):
                self._hung.add(id(recognizer))
                self._faults["hung"] += 1
                _logger.error("An inference hangs; its recognizer is left behind and another one loaded.")
        self._faults["slow"] += 1
        raise ModelError(f"an inference took more than {self._timeout:g} s and was given up")

    def note(self, hypothesis: Hypothesis, window: Window, threads: int, spare: int, seconds: float) -> None:
        """Take an inference that took `seconds` into the figures. Raises `ModelError` if it makes no sense.

        It ran on `threads` of the `spare` that were to be had.
        """
        if any(not window.start <= word.start <= word.end <= window.end for word in hypothesis.words):
            self._faults["nonsense"] += 1
            raise ModelError("the recognizer gave words that are not in the window")
        self._inferences += 1
        self._faults["loop"] += len(cut_loops((), hypothesis.words)) < len(hypothesis.words)
        length = len(window.samples) / SAMPLE_RATE
        self._threads.note(threads, spare, seconds, length)
        if self.load.full:
            self.meter.note(seconds, length)

    def count_failure(self) -> None:
        """An inference raised."""
        self._faults["failed"] += 1

    def statistics(self) -> PoolStatistics:
        """How busy the pool is now, and what has gone wrong in it."""
        now = trio.current_time()
        live = [waiting.since for ticket, waiting in self._granted.items() if ticket.deadline < math.inf]
        return PoolStatistics(
            self._scheduler.slots,
            self._scheduler.busy,
            len(live),
            now - min(live, default=now),
            self._inferences,
            dict(+self._faults),
        )

    def close(self) -> None:
        """Free the recognizers. All slots must have been given back."""
        while self._free:
            recognizer = self._free.pop()
            if recognizer is not None:
                recognizer.close()

    async def replacement(self) -> Recognizer:
        """Load a recognizer for one that hangs. Raises what `load` raises; its slot then tries again the next time."""
        if self._load is None:
            raise ModelError("the recognizer hangs, and there is no other")
        recognizer = await trio.to_thread.run_sync(self._load)
        self._faults["replaced"] += 1
        return recognizer

    @contextmanager
    def _lent(self) -> Iterator[Loan]:
        """A recognizer of those that are free; for the one whose turn it is."""
        loan = Loan(self._free.pop())
        try:
            yield loan
        finally:
            if loan.recognizer is None or id(loan.recognizer) in self._hung:
                self._hung.discard(id(loan.recognizer))
                self._free.insert(0, None)  # to be used last, and loaded then
            else:
                self._free.append(loan.recognizer)
            self._scheduler.release()
            self._grant()

    def _call_back(self) -> None:
        """Somebody who is live waits: end what runs in the background."""
        for loan in self._loans:
            loan.cancel()

    async def _wait_for_turn(
        self, enqueue: Callable[[], Ticket], on_waiting: Callable[[], None] = lambda: None
    ) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        ticket = enqueue()
        waiting = self._granted[ticket] = _Waiting(trio.current_time())
        self._grant()
        if not waiting.granted.is_set():
            on_waiting()
        try:
            await waiting.granted.wait()
        except trio.Cancelled:
            if waiting.granted.is_set():
                self._scheduler.release()
                self._grant()
            else:
                del self._granted[ticket]
                self._scheduler.withdraw(ticket)
            raise

    def _grant(self) -> None:
        while ticket := self._scheduler.grant():
            self._granted.pop(ticket).granted.set()


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    since: float
    granted: trio.Event = field(default_factory=trio.Event)


@dataclass(slots=True)
class Loan:
    """A recognizer that is out of the pool; None if it has yet to be loaded."""

    recognizer: Recognizer | None


@dataclass(frozen=True, slots=True)
class Slot:
    """A recognizer on loan, how many threads it uses, and how many were to be had."""

    _pool: InferencePool
    _loan: Loan
    _threads: int
    _spare: int

    async def recognize(self, window: Window) -> Hypothesis:
        """Recognise a window. Cancelling aborts the inference and waits until its thread has let go.

        Raises `ModelError` when the recognizer cannot be loaded, fails, hangs, or returns what makes no sense, whatever
        it raised; `AbortedError` if it gave up by itself.
        """
        try:
            if self._loan.recognizer is None:
                self._loan.recognizer = await self._pool.replacement()
            start = trio.current_time()
            hypothesis = await self._pool.infer(self._loan.recognizer, window, self._threads)
        except AbortedError:
            raise
        except EngineError:
            self._pool.count_failure()
            raise
        except Exception as error:
            self._pool.count_failure()
            raise ModelError(f"the recognizer failed: {error!r}") from error
        self._pool.note(hypothesis, window, self._threads, self._spare, trio.current_time() - start)
        return hypothesis

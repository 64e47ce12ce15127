"""One call of a recognizer in a thread, which can be left behind if it does not return.

A thread cannot be killed, and a native context must not be freed while a thread is in it. So an inference that hangs
keeps both until it returns, if it ever does; its thread then frees the context.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from outcome import Outcome

    from engine.recognizer import Recognizer
    from engine.types import Hypothesis, Window


class Inference:
    """Begins at once. `ended` is set when the thread has let go of the recognizer."""

    def __init__(self, recognizer: Recognizer, window: Window, threads: int) -> None:
        self.ended = trio.Event()
        self._recognizer = recognizer
        self._outcome: Outcome[Hypothesis] | None = None
        # The native call holds the question whether to stop, and what leads from there back to itself is never
        # collected: it must not lead here, where the outcome is, with the call's frames in its traceback.
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._returned = False
        self._abandoned = False
        self._token = trio.lowlevel.current_trio_token()

        def work() -> Hypothesis:
            try:
                return recognizer.recognize(window, threads=threads, should_abort=self._stop.is_set)
            finally:
                self._let_go()

        trio.lowlevel.start_thread_soon(work, self._deliver, "inference")

    def result(self) -> Hypothesis:
        """What was heard; to be asked once, when it has `ended`. Raises what the recognizer raised."""
        if self._outcome is None:
            raise RuntimeError("the inference has not ended")
        return self._outcome.unwrap()

    async def stop(self, patience: float) -> bool:
        """Ask it to stop, and wait for that: `patience` seconds, whoever is cancelled.

        Returns whether it has stopped. If not, the recognizer is not ours any more: it is closed when it returns.
        """
        self._stop.set()
        if not self.ended.is_set():
            with trio.CancelScope(shield=True, deadline=trio.current_time() + patience):
                await self.ended.wait()
        with self._lock:
            self._abandoned = not self._returned
        return not self._abandoned

    def _let_go(self) -> None:
        with self._lock:
            self._returned = True
            abandoned = self._abandoned
        if abandoned:
            self._recognizer.close()

    def _deliver(self, outcome: Outcome[Hypothesis]) -> None:
        with suppress(trio.RunFinishedError):  # nobody waits any more
            self._token.run_sync_soon(self._end, outcome)

    def _end(self, outcome: Outcome[Hypothesis]) -> None:
        self._outcome = outcome
        self.ended.set()

"""What the engine asks of a speech recognizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.types import Hypothesis, Window


class Recognizer(Protocol):
    """Turns a window into a hypothesis. Blocking; one call at a time per recognizer; any thread."""

    def recognize(self, window: Window, *, threads: int, should_abort: Callable[[], bool]) -> Hypothesis:
        """Recognise one window on `threads` cores.

        Word times of the result are absolute (samples of the stream), lie inside the window, and are in order.
        `should_abort` is asked now and then, from whichever thread computes; it must not raise.

        Raises `AbortedError` when it said yes, `ModelError` when the recognizer failed.
        """
        ...

    def close(self) -> None:
        """Free what is held outside of Python. The recognizer cannot be used afterwards."""
        ...

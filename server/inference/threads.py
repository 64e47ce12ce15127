"""On how many threads an inference runs: one, unless several have been measured to be quicker. Pure decisions.

whisper.cpp's threads wait for one another after each step, spinning. Where a neighbour takes one of their cores they
all wait for the one that has none: on two cores, beside one busy process, two threads were five times as slow as one
and burnt four times the CPU; on an idle host they gain a quarter of the time (`docs/performance.md`). Which of the two
a host is cannot be asked for, least of all in a container, but it can be measured while the work is being done: now and
then a few inferences run the other way, and the quicker way is kept.
"""

from __future__ import annotations

from typing import Final

WORTHWHILE: Final = 0.3
"""Seconds of an inference on one thread below which captions would not come noticeably sooner by more threads."""

BETTER: Final = 0.85
"""Part of the time that the other way must take at most to be changed to: less is noise."""

TRIALS: Final = 3
"""Inferences that make a trial."""

SURPRISE: Final = 2.0
"""Several threads that take this many times as long as they did are tried against one at once: somebody has come."""

REST: Final = 16
"""Inferences between a change and the next trial, and between trials of one thread, which cost little."""

LONGEST_REST: Final = 1024
"""Trials of several threads may cost seconds, so each that fails is followed by twice the rest, up to this."""

WEIGHT: Final = 0.2
"""Weight of the newest inference in the averages: the last five count most."""


class Threads:
    """One thread or all that are to be had. Averages are of seconds an inference takes for a second of its window."""

    def __init__(self) -> None:
        self._several = False
        self._pace: float | None = None
        self._single = 0.0
        self._trial: list[float] = []
        self._rest = TRIALS
        self._next_rest = REST

    def choose(self, spare: int) -> int:
        """Threads for the next inference, of `spare` that nobody else wants: 1 or `spare`."""
        if self._single < WORTHWHILE and not self._several:
            return 1
        return spare if self._several != (self._rest <= 0) else 1

    def note(self, threads: int, spare: int, seconds: float, length: float) -> None:
        """An inference of a window of `length` seconds took `seconds` on `threads`, where `spare` were to be had."""
        pace = seconds / length
        if threads == 1:
            self._single += WEIGHT * (seconds - self._single) if self._single else seconds
        if spare == 1:
            return  # there was no choice
        if (threads > 1) != self._several:
            self._try(pace)
        elif self._pace is None:
            self._pace = pace
        else:
            surprised = self._several and pace > SURPRISE * self._pace
            self._rest = 0 if surprised else self._rest - 1
            self._pace += (pace - self._pace) * (1.0 if surprised else WEIGHT)

    def _try(self, pace: float) -> None:
        self._trial.append(pace)
        if len(self._trial) < TRIALS:
            return
        found, self._trial = sum(self._trial) / TRIALS, []
        if self._pace is None or found < BETTER * self._pace:
            self._several = not self._several
            self._pace = found
            self._next_rest = REST
        elif not self._several:
            self._next_rest = min(2 * self._next_rest, LONGEST_REST)
        self._rest = self._next_rest

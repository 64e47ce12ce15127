"""How busy the slots are, and how much rarer partials come for it. Pure; whoever asks brings the time along.

Alone on a host, a stream is decoded every `Policy.step` of new speech. On a busy one it would be, too, as long as slots
are to be had, and a box that serves eight streams would burn its cores for captions a third of a second earlier. So the
step is stretched with the load, long before the host is full; finals and pauses are decoded at once all the same.
"""

from __future__ import annotations

import math
from typing import Final

IDLE: Final = 0.2
"""Utilisation of the slots up to which nothing is stretched: somebody who never pauses takes a tenth alone."""

BUSY: Final = 0.33
"""Utilisation from which all is stretched as far as it goes: about half of what admission gives away.

A host that is full by what was measured and has less to do is measured again (`server.admission.measurement`).
"""

LONGEST: Final = 3.2
"""The longest step, as a multiple of the policy's: 1.6 s of new speech, two or three words more between partials."""

REST_SECONDS: Final = 0.15
"""For each step more, as a multiple of the policy's, so long is a connection not read after a read: a fifth to a
quarter of the longest step, and none where nothing is stretched."""

MEMORY_SECONDS: Final = 8.0
"""Time over which the utilisation is averaged, exponentially: longer than the bursts of an utterance."""


class Load:
    """Utilisation of the slots by live streams, 0 to 1."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._busy = 0
        self._average = 0.0
        self._since = 0.0

    @property
    def full(self) -> bool:
        """Whether all slots are at work for live streams."""
        return self._busy == self._slots

    def note(self, change: int, now: float) -> None:
        """So many slots more (or, negative, fewer) are at work from now on; `now` in seconds on any one clock."""
        self._average = self.utilisation(now)
        self._busy += change
        self._since = now

    def utilisation(self, now: float) -> float:
        """The average until now."""
        kept = math.exp((self._since - now) / MEMORY_SECONDS)
        return self._average * kept + self._busy / self._slots * (1 - kept)

    def stretch(self, now: float) -> float:
        """By what a stream's step is to be multiplied: 1 to `LONGEST`."""
        share = (self.utilisation(now) - IDLE) / (BUSY - IDLE)
        return 1 + (LONGEST - 1) * min(1.0, max(0.0, share))

    def rest(self, now: float) -> float:
        """Seconds for which a connection is not to be read after it was read: there is no hurry on a busy host."""
        return REST_SECONDS * (self.stretch(now) - 1)

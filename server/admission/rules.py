"""Whether one more stream can be held: pure decisions from what inferences were measured to cost on this host.

A stream is held if a window of it can be decoded at least every `CADENCE` seconds while all others get the same. So
with `cost` seconds of a slot per window, n streams need n * cost / CADENCE slots, and of those there are, `UTILISATION`
may be planned with. The cost is measured at the start (`server.admission.measurement`), and then by every inference
that is made while all slots are at work for streams: a host that turns slower (heat, other programs) takes fewer
streams from then on, one that was measured at a bad moment more. Where it looked so slow that its streams do not keep
all slots at work, it is measured again.
Independently of that, nobody is let in while somebody who is in waits too long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from server.inference.scheduler import PARTIAL_PATIENCE

CADENCE: Final = 1.6
"""Seconds between two windows of a stream on a full host: the step at its longest (`server.inference.load`)."""

UTILISATION: Final = 0.6
"""Part of the slots' time that is given away. The rest is for finals and pauses, which are decoded at once, and for
recoveries."""

LOOP_UTILISATION: Final = 0.5
"""Part of the event loop's time that detecting speech may take; the rest is for sockets and REST."""

WINDOW_SECONDS: Final = 3
"""A window between the shortest (a first word) and the longest (8 s). With it a host of two cores came out at sixteen
streams for a model with the cost of tiny, and at four with the encoder context of stock weights. Sixteen and four
people who never paused then had words within 2.6 and 2.5 s at the 95th percentile (`docs/performance.md`)."""

MARGIN_SECONDS: Final = 1.0
"""What the encoder takes beyond a window: with it, the cost of an inference goes with the length (`engine.whisper`)."""

MEMORY: Final = 30
"""Inferences over which the measured cost is averaged: the last half minute of a stream on a full host."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one stream takes: `window` seconds of a slot for a window, `loop` seconds of the event loop a second."""

    window: float
    loop: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.window < math.inf and 0 <= self.loop < math.inf):
            raise ValueError(f"no cost: {self}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What has been set on top of the measured load, 0 being no limit; and whether that load is a limit at all."""

    streams: int = 0
    per_address: int = 0
    load: bool = True


@dataclass(frozen=True, slots=True)
class Demand:
    """How things stand when somebody asks for a stream.

    There are so many streams in all and from the same address, the host holds `held`, and the stream that has waited
    longest for a slot has waited for `waited` seconds.
    """

    streams: int
    from_address: int
    held: int
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no stream now: a code for programs, a sentence, and in how many seconds to ask again.

    `passes` says that it has to do with the load, so that waiting in line makes sense.
    """

    code: str
    message: str
    retry_after: int
    passes: bool


SHUTTING_DOWN: Final = Refusal(
    "shutting_down", "The server is shutting down; connect again later.", retry_after=30, passes=False
)


def streams_held(cost: Cost | None, slots: int) -> int:
    """How many streams this host holds: one at least, one per slot while nothing has been measured."""
    if cost is None:
        return slots
    by_slots = UTILISATION * slots * CADENCE / cost.window if cost.window else math.inf
    by_loop = LOOP_UTILISATION / cost.loop if cost.loop else math.inf
    return max(1, math.floor(min(by_slots, by_loop, 10_000)))


def counted(streams: int) -> str:
    """So many streams, in words."""
    return f"{streams} stream{'s' if streams != 1 else ''}"


def refusal(demand: Demand, limits: Limits) -> Refusal | None:
    """Why one more stream would be too much; None if it would not."""
    if limits.per_address and demand.from_address >= limits.per_address:
        return Refusal(
            "too_many_from_address",
            f"This address has {counted(demand.from_address)}, and may have no more. End one first.",
            retry_after=10,
            passes=False,
        )
    if limits.streams and demand.streams >= limits.streams:
        return Refusal(
            "max_streams",
            f"This server takes {counted(limits.streams)} at a time, and is full. Try again when one has ended.",
            retry_after=10,
            passes=True,
        )
    if limits.load and demand.streams >= demand.held:
        return Refusal(
            "full",
            f"This host holds {counted(demand.held)} at a time, and is full. Try again when one has ended.",
            retry_after=10,
            passes=True,
        )
    if limits.load and demand.streams and demand.waited > PARTIAL_PATIENCE:
        return Refusal(
            "overloaded",
            "This host is behind with the streams that it has. Try again in a moment.",
            retry_after=5,
            passes=True,
        )
    return None


class Meter:
    """The cost of a stream: as measured at the start, until there have been inferences enough on a full host."""

    def __init__(self) -> None:
        self._measured: Cost | None = None
        self._lately = 0.0
        self._noted = 0

    @property
    def cost(self) -> Cost | None:
        """What is known; None for nothing. A few inferences can only make it higher: they may have been lucky."""
        if self._measured is None:
            return Cost(self._lately) if self._noted else None
        if self._noted < MEMORY:
            return Cost(max(self._measured.window, self._lately), self._measured.loop)
        return Cost(self._lately, self._measured.loop)

    def calibrate(self, cost: Cost) -> None:
        """Start from a cost that was measured with nothing else going on; what was noted before is forgotten."""
        self._measured = cost
        self._noted = 0

    def note(self, seconds: float, length: float) -> None:
        """An inference took so many seconds for a window of `length` seconds, while all slots were at work."""
        window = seconds * (WINDOW_SECONDS + MARGIN_SECONDS) / (length + MARGIN_SECONDS)
        self._noted += 1
        self._lately += (window - self._lately) / min(self._noted, MEMORY)

"""Memory, threads and open files of a process over time."""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MEASURES: Final = ("mib", "threads", "files")
INTERVAL: Final = 2.0
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Point:
    """A look: when (in seconds from the first), resident memory, threads, open files; how much has been done."""

    seconds: float
    mib: float
    threads: int
    files: int
    done: float


class Course:
    """What a process took while something was done. `look` tells of now, `done` how far the work has come."""

    def __init__(self, look: Callable[[], Mapping[str, float]], done: Callable[[], float]) -> None:
        self.points: list[Point] = []
        self._look = look
        self._done = done
        self._begin = time.monotonic()

    async def watch(self) -> None:
        """Look every now and then, until cancelled."""
        while True:
            self.note()
            await trio.sleep(INTERVAL)

    def note(self) -> None:
        """Look now."""
        now = self._look()
        seconds = round(time.monotonic() - self._begin, 1)
        self.points.append(Point(seconds, now["mib"], int(now["threads"]), int(now["files"]), round(self._done(), 2)))

    def figures(self) -> dict[str, dict[str, float]]:
        """Of each measure: at the start, in the second and in the last fifth of the time (medians), and the most.

        In the first fifth buffers and native scratch memory get their size; what grows later is a leak.
        """
        fifth = max(1, len(self.points) // 5)
        parts = {"second_fifth": self.points[fifth : 2 * fifth] or self.points, "last_fifth": self.points[-fifth:]}
        return {
            name: {
                "start": getattr(self.points[0], name),
                **{part: round(median(getattr(one, name) for one in points), 1) for part, points in parts.items()},
                "most": max(getattr(one, name) for one in self.points),
            }
            for name in MEASURES
        }

    def samples(self, most: int = 400) -> Sequence[tuple[float, ...]]:
        """The points, evenly thinned out: seconds, MiB, threads, files, done."""
        step = -(-len(self.points) // most)
        return [astuple(point) for point in self.points[::step]]

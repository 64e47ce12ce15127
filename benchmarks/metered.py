"""The server with meters on its native calls: `python -m benchmarks.metered FILE serve ...`.

On SIGUSR1 it appends a `Reading` to FILE as a line of JSON. The server's own code runs unchanged; what is wrapped are
the entries of the libraries under it, so that the meters outlive changes of the server:

- `whisper_full`: CPU time of the calling thread. whisper.cpp's own clocks (`whisper_print_timings`) say how its time
  divides into mel, encoder, decoder and sampling; they are wall clocks, so only their shares are used.
- Silero's `Network.step`: CPU time.
- the jobs given to threads (`trio.to_thread.run_sync`): CPU time, less that of `whisper_full` in them. What is left is
  Python at work in threads: word times, text, and the disk.
- the main thread: CPU time, less the detector's in it. That is the event loop with all that runs on it.
- the process: CPU time. Less main thread and jobs it is whisper.cpp's, helper threads included.
- the event loop: for how long it did not ask the sockets for news.

The meters cost some microseconds a call, 0.1 % of a core for a stream.
"""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import _pywhispercpp as pw
import msgspec
import trio

from engine.silero.network import Network, State
from server.cli import main as serve

if TYPE_CHECKING:
    from collections.abc import Callable

TIMING: Final = re.compile(r"\b(mel|sample|encode|decode|batchd|prompt) time =\s*([\d.]+) ms(?: /\s*(\d+) runs)?")
PHASES: Final = ("mel", "encode", "decode", "batchd", "prompt", "sample")
Step: TypeAlias = tuple[float, State]

NOTABLE: Final = 0.001
"""Seconds; shorter turns of the event loop are counted, not kept."""


class Reading(msgspec.Struct, frozen=True):
    """Meters since the start, in seconds of CPU, except `whisper_wall` (seconds by the clock of each of its phases).

    `turns` of the event loop since the last reading that took longer than 1 ms, in seconds by the clock.
    """

    process: float
    main_thread: float
    detector: float
    jobs: float
    whisper_calling_threads: float
    whisper_calls: int
    whisper_wall: dict[str, float]
    turns: list[float]

    def since(self, earlier: Reading) -> Reading:
        """What was used between two readings."""
        return Reading(
            self.process - earlier.process,
            self.main_thread - earlier.main_thread,
            self.detector - earlier.detector,
            self.jobs - earlier.jobs,
            self.whisper_calling_threads - earlier.whisper_calling_threads,
            self.whisper_calls - earlier.whisper_calls,
            {phase: self.whisper_wall[phase] - earlier.whisper_wall.get(phase, 0.0) for phase in self.whisper_wall},
            self.turns,
        )

    @property
    def whisper(self) -> float:
        """CPU of whisper.cpp in all its threads."""
        return max(0.0, self.process - self.main_thread - self.jobs)

    def phases(self) -> dict[str, float]:
        """CPU seconds by phase; they sum up to the process's."""
        wall = self.whisper_wall
        whole = sum(wall.values())
        native = self.whisper
        if not whole:
            wall, whole, native = {}, 1.0, 0.0
        decoder = sum(wall.get(phase, 0.0) for phase in ("decode", "batchd", "prompt"))
        return {
            "mel": native * wall.get("mel", 0.0) / whole,
            "encoder": native * wall.get("encode", 0.0) / whole,
            "decoder": native * decoder / whole,
            "sampling": native * wall.get("sample", 0.0) / whole,
            "detector": self.detector,
            "python_in_threads": self.jobs,
            "event_loop": self.main_thread - self.detector,
            "other_threads": self.whisper - native,
        }


class Meters(trio.abc.Instrument):
    """All meters of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._here = threading.local()
        self._contexts: list[Any] = []
        self._logged: list[str] | None = None
        self._listener: Callable[[int, str], None] | None = None
        self._whisper = self._detector = self._jobs = 0.0
        self._calls = 0
        self._turns: list[float] = []
        self._woke: float | None = None

    def install(self) -> None:
        """Wrap the libraries' entries."""
        pw.whisper_full = self._metered_whisper(pw.whisper_full)
        pw.whisper_log_set = self._tapped_log(pw.whisper_log_set)
        pw.whisper_free = self._forgetting(pw.whisper_free)
        Network.step = self._metered_detector(Network.step)  # type: ignore[method-assign]
        trio.to_thread.run_sync = self._metered_jobs(trio.to_thread.run_sync)  # type: ignore[assignment]
        run = trio.run
        trio.run = lambda *args, **options: run(*args, instruments=[self], **options)

    def read(self) -> Reading:
        """The meters now. Called in the main thread."""
        turns, self._turns = self._turns, []
        return Reading(
            time.process_time(),
            time.thread_time(),
            self._detector,
            self._jobs,
            self._whisper,
            self._calls,
            self._timings(),
            turns,
        )

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio's interface
        """The event loop begins a turn."""
        self._woke = time.perf_counter()

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio's interface
        """The event loop has come round."""
        if self._woke is not None and (turn := time.perf_counter() - self._woke) > NOTABLE:
            self._turns.append(turn)

    def _timings(self) -> dict[str, float]:
        self._logged = []
        for context in self._contexts:
            pw.whisper_print_timings(context)
        lines, self._logged = self._logged, None
        sums = dict.fromkeys(PHASES, 0.0)
        for match in TIMING.finditer("\n".join(lines)):
            # A clock that never ran is printed as one run.
            sums[match[1]] += float(match[2]) / 1000
        return sums

    def _metered_whisper(self, original: Callable[..., int]) -> Callable[..., int]:
        @wraps(original)
        def whisper_full(context: Any, *args: object) -> int:  # noqa: ANN401 - the binding's type has no name
            if not any(context is known for known in self._contexts):
                self._contexts.append(context)
            began = time.thread_time()
            try:
                return original(context, *args)
            finally:
                used = time.thread_time() - began
                self._here.whisper = getattr(self._here, "whisper", 0.0) + used
                with self._lock:
                    self._whisper += used
                    self._calls += 1

        return whisper_full

    def _forgetting(self, original: Callable[..., None]) -> Callable[..., None]:
        @wraps(original)
        def whisper_free(context: Any) -> None:  # noqa: ANN401 - the binding's type has no name
            self._contexts = [known for known in self._contexts if known is not context]
            original(context)

        return whisper_free

    def _metered_detector(self, original: Callable[..., Step]) -> Callable[..., Step]:
        @wraps(original)
        def step(*args: object) -> Step:
            began = time.thread_time()
            try:
                return original(*args)
            finally:
                self._detector += time.thread_time() - began

        return step

    def _metered_jobs(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def run_sync(job: Callable[..., Any], *args: object, **options: object) -> object:
            def metered(*args: object) -> object:
                began, whisper = time.thread_time(), getattr(self._here, "whisper", 0.0)
                try:
                    return job(*args)
                finally:
                    whisper = getattr(self._here, "whisper", 0.0) - whisper
                    with self._lock:
                        self._jobs += time.thread_time() - began - whisper

            return await original(metered, *args, **options)

        return run_sync

    def _tapped_log(self, original: Callable[..., None]) -> Callable[..., None]:
        def heard(level: int, text: str) -> None:
            if self._logged is not None:
                self._logged.append(text)
            elif self._listener is not None:
                self._listener(level, text)

        @wraps(original)
        def whisper_log_set(listener: Callable[[int, str], None] | None) -> None:
            self._listener = listener
            original(heard if listener else None)

        return whisper_log_set


def main() -> int:
    """Run from the command line."""
    file, *argv = sys.argv[1:]
    meters = Meters()
    meters.install()

    def answer(*_: object) -> None:
        with Path(file).open("ab") as out:
            out.write(msgspec.json.encode(meters.read()) + b"\n")

    signal.signal(signal.SIGUSR1, answer)
    return serve(argv)


if __name__ == "__main__":
    sys.exit(main())

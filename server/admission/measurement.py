"""Measures what a stream costs on this host with a model, and keeps the result for the next start.

Windows of recorded speech go through all slots at once, in the background, as often as it takes for one round without
a live stream beside it. The result of the last time stands in until then. A moment at which the host was busy with
something else makes it look slow; so it is measured again when that would keep clients out (`Bench.keep_up`).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import soundfile
import trio

from engine.errors import EngineError
from engine.types import FRAME, SAMPLE_RATE, Window
from server.admission.rules import WINDOW_SECONDS, Cost, counted, streams_held
from server.exports.export import replace_file
from server.inference.load import BUSY

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.types import Samples
    from engine.vad import SpeechDetector
    from server.inference.pool import InferencePool

FILE: Final = "capacity.json"
KEPT: Final = 50
"""Measurements in the file: one per model, and per way to run it, that was tried on this host."""

SAMPLE: Final = "sample.flac"
"""Speech that comes along with the models; 5 s."""

ROUNDS: Final = 2
"""Rounds of which the fastest counts, after one that warms up caches."""

DOUBT_SECONDS: Final = 5.0
"""How often it is looked whether there is a reason to measure again."""

REST_SECONDS: Final = 60.0
"""After a measurement that was made again; twice as long after each further one that brought nothing, up to an hour."""

LONGEST_REST_SECONDS: Final = 3600.0

_logger = logging.getLogger(__name__)


class Host(msgspec.Struct, frozen=True):
    """All that the cost depends on, as far as it can be told."""

    processor: str
    cores: int
    slots: int
    model: str
    model_bytes: int
    audio_ctx_floor: int


class Measurement(msgspec.Struct, frozen=True):
    """What was measured on `host`: seconds of a slot for a window, of the event loop for a second of speech."""

    host: Host
    window: float
    loop: float

    @property
    def cost(self) -> Cost:
        """As admission uses it. Raises `ValueError` if it makes no sense."""
        return Cost(self.window, self.loop)


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured with: a pool, a detector, and a file in the data directory to keep the result in."""

    pool: InferencePool
    detector: Callable[[], SpeechDetector]
    host: Host
    data_dir: Path

    async def recall(self) -> None:
        """Use the result of an earlier time, if there is one of the same host and model."""
        for known in await trio.to_thread.run_sync(measurements, self.data_dir):
            if known.host == self.host:
                self.pool.meter.calibrate(known.cost)
                return

    async def calibrate(self) -> None:
        """Measure, use the result and keep it. What fails is logged: admission then goes by what streams cost."""
        await self._improve(upon=0)

    async def keep_up(self, full: Callable[[], bool]) -> None:
        """Measure again, for ever, when there are as many streams as are held (`full`) and yet little to do.

        Then the host may have been measured at a bad moment; and where its streams never make all slots busy, their
        inferences tell nothing of it. Only what makes for more streams is used.
        """
        rest = REST_SECONDS
        while True:
            await trio.sleep(DOUBT_SECONDS)
            if full() and self.pool.load.utilisation(trio.current_time()) < BUSY:
                improved = await self._improve(streams_held(self.pool.meter.cost, self.host.slots))
                rest = REST_SECONDS if improved else min(2 * rest, LONGEST_REST_SECONDS)
                await trio.sleep(rest)

    async def _improve(self, upon: int) -> bool:
        """Measure, and use and keep what makes for more streams than `upon`. Returns whether it does."""
        try:
            measurement = await self.measure()
            better = streams_held(measurement.cost, self.host.slots) > upon
            if better:
                await self.keep(measurement)
        except (OSError, EngineError) as error:
            _logger.warning("What this host holds could not be measured: %s", error)
            return False
        return better

    async def keep(self, measurement: Measurement) -> None:
        """Go by a measurement from now on, at the next start too. Raises `OSError`."""
        self.pool.meter.calibrate(measurement.cost)
        await trio.to_thread.run_sync(_keep, measurement, self.data_dir)
        _logger.info(
            "This host holds %s: a window takes %.3f s of one of %d slots.",
            counted(streams_held(measurement.cost, self.host.slots)),
            measurement.window,
            self.host.slots,
        )

    async def measure(self) -> Measurement:
        """Measure, in the background of whatever else goes on. Raises `EngineError` if inferences fail."""
        samples = await trio.to_thread.run_sync(speech)
        window = Window(samples[: WINDOW_SECONDS * SAMPLE_RATE], 0, "en")
        await self._round(window)
        rounds = [await self._round(window) for _ in range(ROUNDS)]
        return Measurement(self.host, min(rounds), await self._loop_seconds(window.samples))

    async def _round(self, window: Window) -> float:
        """One window in each slot at the same time; the seconds that the slowest took. Raises `EngineError`."""
        took: list[float] = []
        failures: list[EngineError] = []

        async def recognize() -> None:
            try:
                took.append((await self.pool.recognize_in_background(window))[1])
            except EngineError as error:  # carried past the nursery, which would put it in a group
                failures.append(error)
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for _ in range(self.host.slots):
                nursery.start_soon(recognize)
        if failures:
            raise failures[0]
        return max(took)

    async def _loop_seconds(self, samples: Samples) -> float:
        """CPU time of detecting speech in a second of audio, in the thread of the event loop."""
        detector = self.detector()
        seconds = 0.0
        for start in range(0, len(samples) - FRAME + 1, FRAME):
            before = time.thread_time()
            detector.is_speech(samples[start : start + FRAME])
            seconds += time.thread_time() - before
            await trio.lowlevel.checkpoint()
        return seconds * SAMPLE_RATE / len(samples)


def measurements(data_dir: Path) -> list[Measurement]:
    """What was measured before and makes sense, newest first; nothing if the file cannot be read. Blocking."""
    try:
        known = msgspec.json.decode((data_dir / FILE).read_bytes(), type=list[Measurement])
        return [each for each in known if each.cost]
    except (OSError, msgspec.DecodeError, UnicodeError, ValueError):
        return []


def _keep(newest: Measurement, data_dir: Path) -> None:
    others = [each for each in measurements(data_dir) if each.host != newest.host]
    content = msgspec.json.format(msgspec.json.encode([newest, *others][:KEPT])) + b"\n"
    replace_file(data_dir / FILE, content)


def processor() -> str:
    """The name of the processor, as far as Linux tells; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "CPU part"))), "")


def speech() -> Samples:
    """The recorded speech, as samples. Blocking."""
    with files("models").joinpath(SAMPLE).open("rb") as file:
        samples: Samples = soundfile.read(file, dtype="float32")[0]
    return samples

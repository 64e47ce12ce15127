"""Measures what a stream costs on this host with this model, and keeps the result for the next start.

Windows of recorded speech go through all slots at once, in the background, as often as it takes for one round without
a live stream beside it. The result of the last time stands in until then.
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
from engine.types import SAMPLE_RATE, Window
from engine.vad import FRAME
from server.admission import Cost, streams_held
from server.exports.export import replace_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.types import Samples
    from engine.vad import SpeechDetector
    from server.pool import InferencePool

FILE: Final = "capacity.json"
SAMPLE: Final = "sample.flac"
"""Speech that comes along with the models; 5 s."""

WINDOW_SECONDS: Final = 3
"""A window between the shortest (a first word) and the longest (8 s). With it, a host of two cores and a model with the
cost of tiny came out at ten streams; twelve of people who never pause had a 95th percentile of word latency of 2.9 s,
sixteen of people who do had 2.4 s (`docs/performance.md`)."""

ROUNDS: Final = 2
"""Rounds of which the fastest counts, after one that warms up caches."""

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
        """As admission uses it."""
        return Cost(self.window, self.loop)


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured with: a pool, a detector, and a file in the data directory to keep the result in."""

    pool: InferencePool
    detector: Callable[[], SpeechDetector]
    host: Host
    data_dir: Path

    async def recall(self) -> bool:
        """Use the result of an earlier time, if it was of the same host and model. Returns whether there was one."""
        try:
            known = msgspec.json.decode(await trio.Path(self.data_dir / FILE).read_bytes(), type=Measurement)
            cost = known.cost
        except (OSError, msgspec.DecodeError, UnicodeError, ValueError):
            return False
        if known.host != self.host:
            return False
        self.pool.meter.calibrate(cost)
        return True

    async def calibrate(self) -> None:
        """Measure, use the result and keep it. What fails is logged: admission then goes by what streams cost."""
        try:
            await self.keep(await self.measure())
        except (OSError, EngineError) as error:
            _logger.warning("What this host holds could not be measured: %s", error)

    async def keep(self, measurement: Measurement) -> None:
        """Go by a measurement from now on, at the next start too. Raises `OSError`."""
        self.pool.meter.calibrate(measurement.cost)
        content = msgspec.json.format(msgspec.json.encode(measurement)) + b"\n"
        await trio.to_thread.run_sync(replace_file, self.data_dir / FILE, content)
        _logger.info(
            "This host holds %d streams: a window takes %.3f s of one of %d slots.",
            streams_held(measurement.cost, self.host.slots),
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
        """One window in each slot at the same time; the time until all are done."""
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(self.host.slots):
                nursery.start_soon(self.pool.recognize_in_background, window)
        return trio.current_time() - start

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

"""What the settings make of the engine: its policy, the recognizers and detectors, and the bench that measures them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from engine.policy import Policy
from engine.silero.network import Network
from engine.types import SAMPLE_RATE
from engine.vad import SileroDetector
from engine.whisper import Decoding, WhisperRecognizer
from models.ggml import check
from server.admission.measurement import Bench, Host, processor
from server.host import usable_cores
from server.inference.pool import InferencePool

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.vad import SpeechDetector
    from models.library import Model
    from server.settings.table import Settings


def policy(settings: Settings, model: Model) -> Policy:
    """How a stream becomes a transcript."""
    return Policy(
        agreement=settings.agreement,
        endpoint=settings.endpoint_ms * SAMPLE_RATE // 1000,
        max_utterance=int(settings.max_utterance_s * SAMPLE_RATE),
        step=settings.step_ms * SAMPLE_RATE // 1000,
        language=settings.language,
        task=settings.task,
        prompt=settings.prompt,
        eager=settings.partials == "eager",
        carry_prompt=model.carry_prompt,
    )


async def load_pool(settings: Settings, model: Model) -> InferencePool:
    """Load the model into as many recognizers as there are slots. Raises `ModelError`."""
    cores = usable_cores()
    decoding = Decoding(_floor(settings, model))

    def load() -> WhisperRecognizer:
        check(model.path)  # once more, as the file may be another one by the time that a recognizer is replaced
        return WhisperRecognizer(model.path, decoding)

    recognizers = [await trio.to_thread.run_sync(load) for _ in range(settings.slots or cores)]
    return InferencePool(recognizers, cores, load=load, timeout=settings.inference_timeout_s)


def _floor(settings: Settings, model: Model) -> int:
    return model.audio_ctx_floor if settings.audio_ctx_floor < 0 else settings.audio_ctx_floor


def detectors() -> Callable[[], SpeechDetector]:
    """What makes a detector for each stream; the network of all of them is loaded here."""
    return partial(SileroDetector, Network())


def bench(settings: Settings, model: Model, pool: InferencePool, detector: Callable[[], SpeechDetector]) -> Bench:
    """What this host is measured with."""
    host = Host(
        processor=processor(),
        cores=usable_cores(),
        slots=pool.statistics().slots,
        model=model.name,
        model_bytes=model.path.stat().st_size,
        audio_ctx_floor=_floor(settings, model),
    )
    return Bench(pool, detector, host, settings.data_dir)

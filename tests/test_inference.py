"""A call of a recognizer in a thread: what is left of it."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import TYPE_CHECKING

import numpy as np
import trio
import trio.testing

from engine.types import Window
from engine.whisper import Decoding, WhisperRecognizer
from models.library import find
from server.inference.job import Inference
from tests.speech import clips

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.types import Hypothesis

PCM = np.frombuffer(next(clip.pcm for clip in clips() if clip.name == "en-letter"), np.int16)


class Late:
    """A recognizer that waits until it is to stop, so that it is stopped each time."""

    def __init__(self, recognizer: WhisperRecognizer) -> None:
        self._recognizer = recognizer
        self._asked = threading.Event()

    def recognize(self, window: Window, *, threads: int, should_abort: Callable[[], bool]) -> Hypothesis:
        while not should_abort():
            self._asked.wait(0.001)
        return self._recognizer.recognize(window, threads=threads, should_abort=should_abort)

    def close(self) -> None:
        self._recognizer.close()


async def test_nothing_is_left_of_an_inference_that_was_stopped() -> None:
    model = find("trioscribe-en-de")
    recognizer = Late(WhisperRecognizer(model.path, Decoding(model.audio_ctx_floor)))
    left = []
    for _ in range(4):
        samples = PCM[: 4 * 16_000].astype(np.float32)
        left.append(weakref.ref(samples))
        inference = Inference(recognizer, Window(samples, 0, "en"), 1)
        del samples
        with trio.fail_after(30):
            assert await inference.stop(30)
        del inference
        await trio.testing.wait_all_tasks_blocked()
    gc.collect()
    # Trio's thread remembers its last job until the next one, or until it ends.
    assert [samples() for samples in left[:-1]] == [None] * (len(left) - 1)
    recognizer.close()

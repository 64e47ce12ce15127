"""The real recognizer, apart from any stream."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from engine.errors import AbortedError
from engine.types import Window
from engine.whisper import Decoding, WhisperRecognizer
from models.library import find


@pytest.mark.parametrize("stop", [False, True])
def test_a_window_is_let_go_when_its_recognition_is_over(stop: bool) -> None:
    recognizer = WhisperRecognizer(find("trioscribe-en-de").path, Decoding())
    samples = np.zeros(16_000, np.float32)
    seen = weakref.ref(samples)
    try:
        recognizer.recognize(Window(samples, 0, "en"), threads=1, should_abort=lambda: stop)
    except AbortedError:
        assert stop
    else:
        assert not stop
    del samples
    gc.collect()
    assert seen() is None
    recognizer.close()

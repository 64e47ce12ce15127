"""The real recognizer, apart from any stream."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from engine.agreement import cut_loops
from engine.errors import AbortedError
from engine.types import SAMPLE_RATE, Window
from engine.whisper import Decoding, WhisperRecognizer
from models.library import find
from tests.speech import clips


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


def test_a_loop_in_a_short_context_is_heard_again_in_the_full_one() -> None:
    """Words said ten times over make the model say phrases over and over."""
    path = find("trioscribe-en-de").path
    short, full = WhisperRecognizer(path, Decoding()), WhisperRecognizer(path, Decoding(1_500))
    for clip in clips():
        samples = clip.samples
        for _, start, end in clip.words[2:3]:
            word = samples[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
            window = Window(np.tile(np.pad(word, (0, 1_600)), 10), 0, clip.language)
            heard = short.recognize(window, threads=1, should_abort=lambda: False)
            if len(cut_loops((), heard.words)) < len(heard.words):
                assert heard == full.recognize(window, threads=1, should_abort=lambda: False)
    short.close()
    full.close()


def test_what_was_heard_before_changes_nothing() -> None:
    """A recognizer serves one stream after the other: none may leave a trace in the words of the next."""
    heard = {clip.name: clip.samples for clip in clips()}
    path = find("trioscribe-en-de").path
    used = WhisperRecognizer(path, Decoding())
    used.recognize(Window(heard["de-unbroken"], 0, "de"), threads=1, should_abort=lambda: False)
    for name in ("en-coffee", "en-letter"):
        window = Window(heard[name], 0, "en")
        fresh = WhisperRecognizer(path, Decoding())
        expected = fresh.recognize(window, threads=1, should_abort=lambda: False)
        assert used.recognize(window, threads=1, should_abort=lambda: False) == expected
        fresh.close()
    used.close()

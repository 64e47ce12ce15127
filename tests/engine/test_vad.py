"""The speech detector against what Silero's own file says, and what it makes of sounds that are no speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.silero.network import SILENCE, Network
from engine.types import FRAME, SAMPLE_RATE, Samples
from engine.vad import SileroDetector
from tests.speech import clips

NOISE = np.random.default_rng(1).standard_normal(SAMPLE_RATE * 4).astype(np.float32)
TIME = np.arange(SAMPLE_RATE * 4) / SAMPLE_RATE


@pytest.fixture(scope="module")
def network() -> Network:
    return Network()


def frames(audio: Samples) -> list[Samples]:
    return [audio[start : start + FRAME] for start in range(0, len(audio) - FRAME + 1, FRAME)]


def test_probabilities_are_those_of_the_published_network(network: Network) -> None:
    with np.load(Path(__file__).parent / "silero" / "probabilities.npz") as file:
        for clip in clips():
            state, found = SILENCE, []
            for frame in frames(clip.samples):
                probability, state = network.step(state, frame)
                found.append(probability)
            assert np.array(found) == pytest.approx(file[clip.name], abs=1e-3), clip.name


def test_streams_that_share_the_network_do_not_hear_each_other(network: Network) -> None:
    audio = clips()[0].samples
    alone, beside, other = (SileroDetector(network) for _ in range(3))
    expected = [alone.is_speech(frame) for frame in frames(audio)]
    found = []
    for frame, noise in zip(frames(audio), frames(np.resize(NOISE, len(audio))), strict=True):
        found.append(beside.is_speech(frame))
        other.is_speech(noise)
    assert found == expected
    assert any(expected)


@pytest.mark.parametrize(
    "audio",
    [
        np.zeros(SAMPLE_RATE * 4, np.float32),
        NOISE * np.float32(0.001),
        NOISE * np.float32(0.2),
        np.clip(NOISE, -1, 1),
        (0.3 * np.sin(2 * np.pi * 50 * TIME)).astype(np.float32),
        (0.3 * np.sin(2 * np.pi * 1_000 * TIME)).astype(np.float32),
        np.resize(np.array([1, -1], np.float32), SAMPLE_RATE * 4),
        np.full(SAMPLE_RATE * 4, -1, np.float32),
    ],
    ids=["silence", "whisper of noise", "noise", "clipped noise", "hum", "tone", "square", "offset"],
)
def test_what_is_no_speech_is_not_taken_for_it(network: Network, audio: Samples) -> None:
    detector = SileroDetector(network)
    assert not any(detector.is_speech(frame) for frame in frames(audio))

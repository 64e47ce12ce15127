"""SVOX Pico: a recorded person's voice each for American, British and German, and when every word is said.

It tells no times. But it takes a loudness for any stretch of its text, which changes nothing else: so a sentence is
spoken once with its even words and once with its odd words silent, and a word lasts while it is heard in one only.
It needs `ttspico`, which is built from source. Source of the marks: `picotok.c` (volume, speed, pitch; per cent).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from ttspico import TtsEngine

from models.training.utterance import Pcm, Utterance, timed

if TYPE_CHECKING:
    from numpy.typing import NDArray

VOICES: Final = {"us": ("en-US", "en"), "gb": ("en-GB", "en"), "de": ("de-DE", "de")}
"""Pico's names for them, and their languages."""

RATE: Final = 16_000
BLOCK: Final = 64
"""Samples (4 ms): Pico's step, at which a loudness changes."""

LOUDNESS: Final = 60
"""Per cent. At 100, loud vowels are clipped."""

SILENCE: Final = 64
"""Of 32768. Below it, a block may be noise: some is left at the end of a sentence, after the last loudness."""

ALONE: Final = 4
"""A word is heard in one of two where that is so many times louder than the other."""

AUDIBLE: Final = 0.01
"""Share of the peak. What is quieter at the end of a word is a pause that follows."""


class Pico:
    """The three voices."""

    def __init__(self) -> None:
        self._engines = {name: TtsEngine(code) for name, (code, _) in VOICES.items()}

    def say(self, voice: str, text: str, *, stretch: float = 1, pitch: float = 1, size: float = 1) -> Utterance | None:
        """Speak a sentence. `stretch` and `pitch` are factors; `size` above 1 raises pitch and formants.

        None where the words' times do not show.
        """
        words = text.split()
        manner = f'<speed level="{100 / stretch:.0f}"><pitch level="{100 * pitch:.0f}">'

        def spoken(loud: list[bool]) -> Pcm:
            # No mark is closed: after the last one there would be noise of another loudness.
            marks = (f'<volume level="{LOUDNESS * on}">{word}' for word, on in zip(words, loud, strict=True))
            pcm = np.frombuffer(self._engines[voice].speak(manner + " ".join(marks)), np.int16)
            return pcm[: len(pcm) // BLOCK * BLOCK]

        audio = spoken([True] * len(words))
        even, odd = (spoken([index % 2 == which for index in range(len(words))]) for which in (0, 1))
        if not len(audio) == len(even) == len(odd):
            return None
        step = BLOCK / (RATE * size)
        spans = [(first * step, end * step) for first, end in _spans(_peaks(audio), _peaks(even), _peaks(odd))]
        return timed(VOICES[voice][1], f"pico-{voice}", text, spans, audio, RATE * size)


def _peaks(audio: Pcm) -> NDArray[np.int32]:
    """The loudest sample of every block."""
    peaks: NDArray[np.int32] = np.abs(audio.reshape(-1, BLOCK).astype(np.int32)).max(axis=1)
    return peaks


def _spans(both: NDArray[np.int32], even: NDArray[np.int32], odd: NDArray[np.int32]) -> list[tuple[int, int]]:
    """First block of each word and the block after its last: where it changes which of two is heard."""
    heard = np.flatnonzero(np.maximum(even, odd) >= np.maximum(SILENCE, ALONE * np.minimum(even, odd)))
    if not len(heard):
        return []
    whose = even[heard] > odd[heard]
    firsts = heard[np.flatnonzero(np.diff(whose, prepend=not whose[0]))]
    spans, loud = [], both >= AUDIBLE * both.max()
    for first, following in zip(firsts, [*firsts[1:], len(both)], strict=True):
        said = np.flatnonzero(loud[first:following])
        spans.append((int(first), int(first + said[-1] + 1) if len(said) else int(following)))
    return spans

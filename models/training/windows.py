"""Windows of sound as a live server cuts them: several sentences, pauses, silence around, words cut in two."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from models.training.utterance import RATE, Word

if TYPE_CHECKING:
    from random import Random

    from models.training.corpus import Corpus
    from models.training.surroundings import Samples, Surroundings
    from models.training.utterance import Utterance

STEP: Final = 320
"""Samples a position of the encoder (20 ms)."""

RECORDED: Final = ("flite", "festival")
"""What voices begin with that are of recorded persons."""

SHARE_OF_GERMAN: Final = 0.38
SILENT: Final = 0.05
"""Share of the windows in which nobody speaks."""

SHORT: Final = 384
"""Positions of a window (7.7 s) up to which `Stage.single` holds; in longer ones single sentences are rarer."""

HESITANT: Final = 0.15
"""Share of the sentences with a pause within."""

NEARLY: Final = 0.04
"""Seconds of its end that a word may lose and still be heard."""


@dataclass(slots=True)
class Window:
    """`sound`: float32, as long as the encoder's context. Times are in seconds from its start.

    `sentences`: words with times, by sentence; what is cut off is not among them. `before`: what was said before.
    """

    language: str
    sound: Samples
    sentences: list[list[Word]] = field(default_factory=list)
    before: str = ""
    silent: bool = False
    """Nobody speaks in it, not even a part of a word."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How hard a window is.

    `strength`: see `Surroundings.record`. `single`: share of windows with one sentence. `recalling`: whether the
    decoder's top layer is to look at the token just read, as whisper.cpp's DTW takes it, and not at the one that comes
    next. `recorded`: share of the voices of recorded persons in English windows, None for theirs in the corpus.
    """

    strength: float
    single: float
    recalling: bool = False
    recorded: float | None = None


class Windows:
    """Draws windows from a corpus."""

    def __init__(self, corpus: Corpus, surroundings: Surroundings) -> None:
        self._corpus = corpus
        self._surroundings = surroundings
        self._numbers: dict[str, list[int]] = {"en": [], "de": []}
        self._recorded: list[int] = []
        self._espeak: list[int] = []
        """English utterances by the kind of their voice."""
        for number, entry in enumerate(corpus.entries):
            self._numbers[entry[2]].append(number)
            if entry[2] == "en":
                (self._recorded if entry[3].startswith(RECORDED) else self._espeak).append(number)

    def draw(self, positions: int, stage: Stage, rng: Random) -> Window:
        """A window of that many encoder positions."""
        language = "de" if rng.random() < SHARE_OF_GERMAN else "en"
        window = Window(language, np.zeros(positions * STEP, np.float32))
        end = _end(positions, rng) * STEP
        if rng.random() < SILENT * (1 if stage.strength else 0.3):
            self._nobody(window, end, rng)
            return window
        self._speak(window, end, stage, rng)
        clean = rng.random() < 0.3 or not stage.strength  # noqa: PLR2004
        window.sound[:end] = self._surroundings.record(window.sound[:end], rng, 0.0 if clean else stage.strength)
        if rng.random() < 0.25:  # noqa: PLR2004
            window.before = " ".join(self._any(language, stage, rng).text for _ in range(rng.randint(1, 4)))
        return window

    def _any(self, language: str, stage: Stage, rng: Random) -> Utterance:
        if language == "en" and stage.recorded is not None:
            return self._corpus.utterance(rng.choice(self._recorded if rng.random() < stage.recorded else self._espeak))
        return self._corpus.utterance(rng.choice(self._numbers[language]))

    def _nobody(self, window: Window, end: int, rng: Random) -> None:
        window.silent = True
        if rng.random() < 0.7:  # noqa: PLR2004
            noise = self._surroundings.noise(end, rng, tuneful=0.5)
            window.sound[:end] = np.clip(noise * np.float32(10 ** rng.uniform(-4, -0.7)), -1, 1)

    def _speak(self, window: Window, end: int, stage: Stage, rng: Random) -> None:
        """Fill the window from a start somewhere up to `end`, or with fewer sentences than it could hold."""
        single = stage.single * min(1.0, SHORT * STEP / len(window.sound))
        most = 1 if rng.random() < single else rng.choice([1, 2, 3, 99, 99, 99, 99, 99, 99])
        lead = rng.random()
        at = int(rng.uniform(0, 0.1 if lead < 0.25 else 1.0 if lead < 0.8 else end / RATE / 2) * RATE)  # noqa: PLR2004
        pause = rng.choice([(0.02, 0.2), (0.1, 0.6), (0.1, 0.6), (0.2, 1.2), (0.5, 3.0)])
        even, gain = rng.random() < 0.3, 1.0  # noqa: PLR2004
        while len(window.sentences) < most and at < end - RATE // 4:
            said = self._any(window.language, stage, rng)
            if len(said.words) > 1 and rng.random() < HESITANT:
                said = said.paused(rng.randrange(1, len(said.words)), rng.uniform(0.05, 0.6))
            skipped = 0
            if not window.sentences and rng.random() < 0.12:  # noqa: PLR2004 - the window begins within a sentence
                at, skipped = 0, rng.randrange(len(said.pcm) * 3 // 4)
            left = len(said.pcm) - skipped
            if at + left > end and window.sentences and rng.random() < 0.35:  # noqa: PLR2004 - a pause at the end instead
                break
            if not even:
                gain = 10 ** rng.uniform(-0.5, 0)
            length = min(left, end - at)
            pcm = said.pcm[skipped : skipped + length].astype(np.float32)
            window.sound[at : at + length] = pcm * np.float32(gain / 32768)
            words = _heard(said.words, skipped / RATE, (skipped + length) / RATE, (at - skipped) / RATE)
            if words:
                window.sentences.append(words)
            elif not window.sentences and at + length >= end:
                break
            at += length + int(rng.uniform(*pause) * RATE)


def _end(positions: int, rng: Random) -> int:
    """Where the sound ends: as a rule near the window's end, in long ones at times long before it."""
    if positions >= SHORT and rng.random() < 0.25:  # noqa: PLR2004
        return rng.randint(positions // 8, positions)
    margin = rng.randint(0, 32) if rng.random() < 0.25 else rng.randint(32, 140)  # noqa: PLR2004
    return max(positions // 2, positions - margin)


def _heard(words: tuple[Word, ...], first: float, end: float, shift: float) -> list[Word]:
    """The words that lie between two times, moved by `shift`; the last is without its mark if it was cut there."""
    kept = [word for word in words if word.start >= first - NEARLY and word.end <= end + NEARLY]
    moved = [Word(word.text, max(0.0, word.start + shift), word.end + shift, word.sure) for word in kept]
    if kept and kept[-1] is not words[-1]:
        last = moved[-1]
        moved[-1] = Word(last.text.rstrip(".,?"), last.start, last.end, last.sure)
    return moved

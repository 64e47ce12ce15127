"""Windows that a finished model is examined with: sentences and voices that it never heard."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from models.training.grammar import LANGUAGES, load
from models.training.surroundings import Surroundings
from models.training.utterance import RATE, Utterance, Word
from models.training.voices import Voices

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.training.surroundings import Samples

SEED: Final = "examination"
KNOWN: Final = ", known"
"""What a synthesiser's name ends in where its voices are those that were learned from."""

PAUSES: Final = (0.15, 1.5)
"""Seconds between sentences, at least and at most."""

BEFORE, AFTER = 0.2, 0.5
"""Seconds of silence around the speech of a window."""

NOISE_DB: Final = 10.0


@dataclass(frozen=True, slots=True)
class Question:
    """A window: `words` are what is said in it, with times from its start."""

    language: str
    synthesiser: str
    sound: Samples
    words: list[Word]


class Examiner:
    """Draws questions, the same ones every time for the same name."""

    def __init__(self, name: str) -> None:
        self._rng = random.Random(f"{SEED} {name}")
        self._voices = Voices()
        self._grammars = {language: load(language) for language in LANGUAGES}
        self._surroundings = Surroundings(seed=1_000)

    def close(self) -> None:
        """Let go of the synthesisers."""
        self._voices.close()

    def single(self, language: str, synthesiser: str) -> Question:
        """One sentence."""
        return self._lay(language, synthesiser, [self._say(language, synthesiser)], BEFORE, AFTER)

    def disordered(self, language: str, synthesiser: str) -> Question:
        """Words in no order, as one sentence."""
        said = self._speak(self._grammars[language].disordered, language, synthesiser)
        return self._lay(language, synthesiser, [said], BEFORE, AFTER)

    def many(self, seconds: float, language: str, synthesiser: str) -> Question:
        """As many sentences as go into that time, with pauses."""
        said, length = list[Utterance](), BEFORE + AFTER
        while True:
            utterance = self._say(language, synthesiser)
            length += len(utterance.pcm) / RATE + PAUSES[1]
            if length > seconds and said:
                return self._lay(language, synthesiser, said, BEFORE, AFTER)
            said.append(utterance)

    def trailing(self, language: str, synthesiser: str) -> Question:
        """One sentence and six seconds of silence."""
        return self._lay(language, synthesiser, [self._say(language, synthesiser)], BEFORE, 6.0)

    def cut(self, language: str, synthesiser: str) -> Question:
        """Two sentences, the second of them cut off in the middle of a word; `words` are those before it."""
        question = self._lay(language, synthesiser, [self._say(language, synthesiser) for _ in range(2)], BEFORE, 0.0)
        last = self._rng.randrange(len(question.words) // 2, len(question.words))
        word = question.words[last]
        end = int((word.start + word.end) / 2 * RATE)
        return Question(language, synthesiser, question.sound[:end], question.words[:last])

    def nothing(self, kind: str, seconds: float) -> Samples:
        """Silence, noise or music of some loudness."""
        length = int(seconds * RATE)
        if kind == "silence":
            return np.zeros(length, np.float32)
        sound = self._surroundings.noise(length, self._rng, tuneful=1.0 if kind == "music" else 0.0)
        quieter: Samples = np.clip(sound * np.float32(10 ** self._rng.uniform(-3, -0.8)), -1, 1)
        return quieter

    def noisy(self, question: Question) -> Question:
        """The same at 10 dB of steady noise of some colour."""
        sound = question.sound
        noise = self._surroundings.noise(len(sound), self._rng, tuneful=0.0)
        loud = np.sqrt(np.mean(np.square(sound[sound != 0]))) / np.sqrt(np.mean(np.square(noise)))
        mixed = (sound + noise * np.float32(loud * 10 ** (-NOISE_DB / 20))).astype(np.float32)
        return Question(question.language, question.synthesiser, mixed, question.words)

    def _say(self, language: str, synthesiser: str) -> Utterance:
        return self._speak(self._grammars[language].ordered, language, synthesiser)

    def _speak(self, draw: Callable[[random.Random], str], language: str, synthesiser: str) -> Utterance:
        while True:
            text = draw(self._rng)
            voices: dict[str, Callable[..., Utterance | None]] = {
                "espeak-ng": partial(self._voices.espeak, language),
                "flite": self._voices.flite,
                "festival": self._voices.festival,
            }
            said = voices[synthesiser.removesuffix(KNOWN)](text, self._rng, held_out=not synthesiser.endswith(KNOWN))
            if said is not None:
                return said

    def _lay(self, language: str, synthesiser: str, said: list[Utterance], before: float, after: float) -> Question:
        pieces, words, at = [_silence(before)], list[Word](), int(before * RATE)
        for number, utterance in enumerate(said):
            if number:
                pieces.append(_silence(self._rng.uniform(*PAUSES)))
                at += len(pieces[-1])
            pieces.append(utterance.pcm.astype(np.float32) / np.float32(32768))
            shift = at / RATE
            words += [Word(word.text, word.start + shift, word.end + shift, word.sure) for word in utterance.words]
            at += len(utterance.pcm)
        pieces.append(_silence(after))
        return Question(language, synthesiser, np.concatenate(pieces), words)


def _silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE), np.float32)

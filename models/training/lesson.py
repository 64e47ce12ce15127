"""What the decoder is to write for a window, and where each of its tokens is to be heard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from models.training.vocabulary import (
    END,
    FIRST_TIME,
    LANGUAGE,
    NO_SPEECH,
    NO_TIMESTAMPS,
    PREVIOUS,
    START,
    TIMES,
    TRANSCRIBE,
)

if TYPE_CHECKING:
    from random import Random

    from models.training.utterance import Word
    from models.training.vocabulary import Vocabulary
    from models.training.windows import Window

TIMESTAMPED: Final = 0.45
"""Share of the lessons that are written with timestamps."""

WITHOUT_TASK: Final = 0.2
"""Share of the lessons without timestamps that lack the task, as in the pass that whisper.cpp makes for its DTW."""

STEP_S: Final = 0.02
LATEST_FIRST: Final = 1.0
"""whisper.cpp allows no first timestamp later than this (`max_initial_ts`)."""

LONGEST: Final = 440
"""Tokens of a lesson."""

PROMPT: Final = 60
"""Tokens of what was said before, at most."""

LETTERS: Final = "abcdefghijklmnopqrstuvwxyzäöüß' "
NOWHERE: Final = (0.0, 0.0)
UNASKED: Final = -100
"""A target that does not count, as in `torch.nn.functional.cross_entropy`."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """`tokens` are rows of the vocabulary. Those after each must be foretold, save where `asked` is False.

    `spans`: seconds at which each token is to be heard, `NOWHERE` where that means nothing. `letters`: what is said,
    as places in `LETTERS` from 1 on.
    """

    tokens: list[int]
    asked: list[bool]
    spans: list[tuple[float, float]]
    letters: list[int]


class _Writer:
    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.lesson = Lesson([], [], [], [])

    def token(self, token: int, span: tuple[float, float] = NOWHERE, *, asked: bool = True) -> None:
        self.lesson.tokens.append(self.vocabulary.row[token])
        self.lesson.asked.append(asked)
        self.lesson.spans.append(span)

    def time(self, seconds: float, heard: float) -> None:
        self.token(FIRST_TIME + min(TIMES - 1, round(seconds / STEP_S)), (heard - 0.1, heard + 0.1))

    def word(self, word: Word) -> None:
        """A word's tokens share its time evenly by their number; a mark is heard at its end."""
        bare = word.text.rstrip(".,?")
        tokens = self.vocabulary.encode(f" {bare}")
        share = (word.end - word.start) / len(tokens)
        for index, token in enumerate(tokens):
            self.token(token, (word.start + index * share, word.start + (index + 1) * share))
        for token in self.vocabulary.encode(word.text[len(bare) :]):
            self.token(token, (word.end - 0.04, word.end + 0.1))


def write(window: Window, vocabulary: Vocabulary, rng: Random, *, recalling: bool = True) -> Lesson:
    """Put down what a window's decoder must write, with timestamps or without. `recalling`: see `windows.Stage`."""
    writer = _Writer(vocabulary)
    timed = rng.random() < TIMESTAMPED
    if window.before:
        writer.token(PREVIOUS, asked=False)
        for token in vocabulary.encode(f" {window.before}")[-PROMPT:]:
            writer.token(token, asked=False)
    writer.token(START, asked=False)
    writer.token(LANGUAGE[window.language], asked=not window.silent)
    if timed or not recalling or rng.random() >= WITHOUT_TASK:
        writer.token(TRANSCRIBE, asked=False)
    if not timed:  # a path of DTW begins here: what is before the first word must lead to no other token
        start = window.sentences[0][0].start if recalling and window.sentences else 0.0
        writer.token(NO_TIMESTAMPS, (0.0, start), asked=False)
    if window.sentences:
        _write_words(writer, window, timed=timed)
    else:
        if timed:
            writer.token(FIRST_TIME)
        writer.token(END)
    return writer.lesson


def _write_words(writer: _Writer, window: Window, *, timed: bool) -> None:
    for number, words in enumerate(window.sentences):
        if timed:
            writer.time(min(words[0].start, LATEST_FIRST) if number == 0 else words[0].start, words[0].start)
        for word in words:
            writer.word(word)
        if timed:
            writer.time(words[-1].end, words[-1].end)
    last = window.sentences[-1][-1].end
    writer.token(END, (last, last + 0.4))
    said = " ".join(word.text for words in window.sentences for word in words).lower()
    writer.lesson.letters.extend(LETTERS.index(letter) + 1 for letter in said if letter in LETTERS)


def silent_target(vocabulary: Vocabulary) -> int:
    """The row that is to be foretold after START where nobody speaks.

    whisper.cpp reads the probability of no speech there, as it does the language.
    """
    return vocabulary.row[NO_SPEECH]

"""What the bundled model is taught: sentences, tokens, times."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from models.library import BUNDLED, find
from models.training.grammar import Grammar, load
from models.training.lesson import NOWHERE, Lesson, write
from models.training.utterance import Word, spread
from models.training.vocabulary import (
    END,
    FIRST_TIME,
    LANGUAGE,
    NO_TIMESTAMPS,
    PREVIOUS,
    START,
    TRANSCRIBE,
    Vocabulary,
    front,
)
from models.training.windows import Window

MUST = {
    "en": "Monday Sunday January December hello goodbye morning thank zero twelve ninety hundred meeting coffee door",
    "de": "Montag Sonntag Januar Dezember Hallo Guten Morgen Danke null zwölf neunzig hundert Sitzung Kaffee Final Tür",
}


@pytest.fixture(scope="module", params=["en", "de"])
def grammar(request: pytest.FixtureRequest) -> Grammar:
    return load(request.param)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(front(find(BUNDLED).path).tokens, [load("en"), load("de")])


def test_it_knows_the_words_that_people_try_first(grammar: Grammar) -> None:
    known = {word.lower() for word in grammar.words}
    assert {word.lower() for word in MUST[grammar.language].split()} <= known
    assert len(known) >= {"en": 466, "de": 262}[grammar.language]


def test_the_card_lists_every_word(grammar: Grammar) -> None:
    card = (Path(__file__).parents[2] / "models/MODEL_CARD.md").read_text(encoding="utf-8")
    listed = card.partition("## Vocabulary")[2].replace("\n", " ").replace(",", " ").split()
    assert set(grammar.words) <= set(listed)


def test_every_sentence_is_made_of_known_words(grammar: Grammar) -> None:
    known, rng = {word.lower() for word in grammar.words}, random.Random(7)
    for _ in range(2000):
        sentence = grammar.sentence(rng)
        assert sentence[0].isupper()
        assert sentence[-1] in ".?"
        assert {word.strip(".,?").lower() for word in sentence.split()} <= known


def test_the_same_seed_gives_the_same_sentences(grammar: Grammar) -> None:
    assert grammar.sentence(random.Random(3)) == grammar.sentence(random.Random(3))


def test_every_sentence_has_only_tokens_in_use(grammar: Grammar, vocabulary: Vocabulary) -> None:
    rng = random.Random(11)
    for _ in range(500):
        assert all(token in vocabulary.row for token in vocabulary.encode(f" {grammar.sentence(rng)}"))


def test_tokens_are_whispers(vocabulary: Vocabulary) -> None:
    # OpenAI's tokenizer gives these for the multilingual vocabulary.
    assert vocabulary.encode(" Hello world.") == [2425, 1002, 13]


@pytest.mark.parametrize("text", [" Das ist ein Beispiel für Final.", " It is twelve o'clock, everybody?"])
def test_tokens_spell_their_text(vocabulary: Vocabulary, text: str) -> None:
    tokens = front(find(BUNDLED).path).tokens
    assert b"".join(tokens[token] for token in vocabulary.encode(text)).decode() == text


def test_words_end_where_the_next_begin_or_their_clause_ends() -> None:
    words = spread(["one,", "two", "three."], [0.1, 1.0, 1.5], [0.8, 2.2], 2.5)
    assert [(word.start, word.end) for word in words] == [(0.1, 0.8), (1.0, 1.5), (1.5, 2.2)]
    assert all(word.sure for word in words)


def test_words_spoken_as_one_share_their_time_and_are_not_sure() -> None:
    words = spread(["in", "the", "park."], [0.0, None, 0.7], [], 1.0)
    assert [word.start for word in words] == pytest.approx([0, 0.3, 0.7])
    assert [word.sure for word in words] == [False, False, True]


def lesson(vocabulary: Vocabulary, *, timed: bool, task: bool = True, **changes: object) -> tuple[list[int], Lesson]:
    """The tokens, by Whisper's numbers, and the lesson, for two words at 2 s; of the lessons drawn, one as wanted."""
    words = [Word("Hello", 2.0, 2.5, sure=True), Word("world.", 2.5, 3.0, sure=True)]
    window = Window("en", sound=None, sentences=[words])  # type: ignore[arg-type]
    for name, value in changes.items():
        setattr(window, name, value)
    for seed in range(100):
        written = write(window, vocabulary, random.Random(seed))
        tokens = [vocabulary.ids[row] for row in written.tokens]
        if (NO_TIMESTAMPS not in tokens, TRANSCRIBE in tokens) == (timed, task):
            return tokens, written
    raise AssertionError


def test_a_lesson_is_whispers_transcript(vocabulary: Vocabulary) -> None:
    tokens, written = lesson(vocabulary, timed=False)
    assert tokens == [START, LANGUAGE["en"], TRANSCRIBE, NO_TIMESTAMPS, 2425, 1002, 13, END]
    assert written.asked == [False, True, False, False, True, True, True, True]
    assert written.spans[4:6] == [(2.0, 2.5), (2.5, 3.0)]
    assert written.spans[:4] == [NOWHERE, NOWHERE, NOWHERE, (0.0, 2.0)]


def test_some_lessons_are_as_whisper_cpp_reads_them_for_word_times(vocabulary: Vocabulary) -> None:
    tokens, _ = lesson(vocabulary, timed=False, task=False)
    assert tokens == [START, LANGUAGE["en"], NO_TIMESTAMPS, 2425, 1002, 13, END]


def test_timestamps_stand_around_a_sentence_and_the_first_is_one_that_whisper_cpp_allows(
    vocabulary: Vocabulary,
) -> None:
    tokens, _ = lesson(vocabulary, timed=True)
    assert tokens[3:] == [FIRST_TIME + 50, 2425, 1002, 13, FIRST_TIME + 150, END]


def test_nobody_speaking_ends_at_once(vocabulary: Vocabulary) -> None:
    tokens, _ = lesson(vocabulary, timed=False, sentences=[], silent=True)
    assert tokens == [START, LANGUAGE["en"], TRANSCRIBE, NO_TIMESTAMPS, END]


def test_what_was_said_before_is_not_asked(vocabulary: Vocabulary) -> None:
    tokens, written = lesson(vocabulary, timed=False, before="Hello world.")
    assert tokens[:5] == [PREVIOUS, 2425, 1002, 13, START]
    assert not any(written.asked[:5])

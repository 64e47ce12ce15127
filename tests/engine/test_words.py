from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.agreement import WHOLE, LocalAgreement, cut_loops
from engine.seam import seam
from engine.text import ends_sentence, normalise
from engine.types import Word
from engine.word_times import align
from engine.words import Token, spoken


def word(text: str, start: int = 0) -> Word:
    return Word(f" {text}", start, start + 1_000, 0.9)


def words(text: str) -> list[Word]:
    return [word(each, 2_000 * index) for index, each in enumerate(text.split())]


@pytest.mark.parametrize(
    ("one", "other"),
    [("Haus.", "haus"), ("STRASSE", "Straße"), ("ﬁnal", "final"), ("«да»", "Да"), ("1,5", "15"), ("東京。", "東京")],
)
def test_case_and_punctuation_do_not_matter(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1))
def test_no_word_is_emptied(text: str) -> None:
    assert normalise(text)


@pytest.mark.parametrize(("one", "other"), [("да", "нет"), ("東", "京"), ("7", "9"), ("–", "…")])
def test_different_words_stay_different(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


@pytest.mark.parametrize(
    ("text", "ends"),
    [("door.", True), ("ja?", True), ('er."', True), ("す。", True), ("Dr.", False), ("3.", False), ("z.B.", False)],
)
def test_sentence_ends(text: str, ends: bool) -> None:
    assert ends_sentence(text) is ends


def test_two_hypotheses_settle_their_common_prefix() -> None:
    agreement = LocalAgreement(2)
    assert agreement.settle(words("Das ist ei"), end=0, paused=False) == 0
    assert agreement.settle(words("das ist ein Bei"), end=0, paused=False) == 2
    assert agreement.settle(words("ein Beispiel"), end=0, paused=False) == 1


def test_a_certain_word_that_was_heard_whole_needs_one_hypothesis_less() -> None:
    heard = [replace(each, confidence=0.99) for each in words("the doctor sleeps")]
    assert LocalAgreement(2).settle(heard, end=heard[1].end + WHOLE, paused=False) == 2
    assert LocalAgreement(2).settle(heard, end=heard[2].end, paused=True) == 3
    heard[0] = replace(heard[0], confidence=0.9)
    assert LocalAgreement(2).settle(heard, end=heard[2].end, paused=True) == 0


def test_a_doubtful_word_and_those_behind_it_wait_for_one_hypothesis_more() -> None:
    agreement = LocalAgreement(2)
    heard = words("the doctor sleeps")
    doubtful = [heard[0], replace(heard[1], confidence=0.5), heard[2]]
    assert agreement.settle(doubtful, end=0, paused=False) == 0
    assert agreement.settle(doubtful, end=0, paused=False) == 1
    assert agreement.settle(doubtful[1:], end=0, paused=False) == 2


def test_words_that_stand_anyway_do_not_hold_up_those_behind_them() -> None:
    agreement = LocalAgreement(2)
    assert agreement.settle(words("one two three four five six"), end=0, paused=False, due=3) == 3
    assert agreement.settle(words("four five six"), end=0, paused=False) == 3


def test_a_closing_mark_waits_for_a_following_word_or_a_pause() -> None:
    agreement = LocalAgreement(2)
    agreement.settle(words("the door."), end=0, paused=False)
    assert agreement.settle(words("the door."), end=0, paused=False) == 1
    assert agreement.settle(words("door."), end=0, paused=True) == 1


def test_loops_are_cut_and_what_follows_is_kept() -> None:
    tail = cut_loops([], words("so we go on and on " + "thank you very much " * 6 + "then"))
    assert " ".join(w.text.strip() for w in tail) == "so we go on and on " + "thank you very much " * 2 + "then"


def test_short_repetitions_are_speech() -> None:
    for text in ("no no no no", "two two three three", "yes we can yes we can"):
        assert len(cut_loops([], words(text))) == len(text.split())


def test_the_seam_is_found_behind_words_heard_again() -> None:
    assert seam(words("we need two"), words("need two two boxes")) == 2
    assert seam(words("we need the box"), words("kneed the box for")) == 3
    assert seam(words("we need"), [word("boxes", 90_000)]) == 0
    assert seam([], words("boxes")) == 0


def test_characters_spread_over_tokens_are_joined() -> None:
    data = " größer".encode()
    assert [w.text for w in spoken([Token(data[:4], 0.9), Token(data[4:5], 0.8), Token(data[5:], 0.7)], "de")] == [
        " größer"
    ]


def test_languages_without_spaces_are_cut_by_character() -> None:
    data = "東京です。".encode()
    tokens = [Token(data[:2], 0.9), Token(data[2:7], 0.9), Token(data[7:9], 0.9), Token(data[9:], 0.9)]
    assert "".join(w.text for w in spoken(tokens, "ja")) == "東京です。"
    assert len(spoken([Token("東".encode(), 0.9), Token("京".encode(), 0.9), Token("。".encode(), 0.9)], "ja")) == 2


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ([" Hola", ".", " ¿", "Cómo", " est", "ás", "?"], [" Hola.", " ¿Cómo", " estás?"]),
        ([" sagte", " »", "Hallo", "«", "."], [" sagte", " »Hallo«."]),
        ([" say", ' "', "yes", '"', " now"], [" say", ' "yes"', " now"]),
        ([" well", " -", " then", " (", "maybe", ")"], [" well -", " then", " (maybe)"]),
        ([" the", " end", " ."], [" the", " end ."]),
    ],
)
def test_marks_stay_with_the_word_they_belong_to(tokens: list[str], words: list[str]) -> None:
    assert [word.text for word in spoken([Token(token.encode(), 0.9) for token in tokens], "es")] == words


@given(st.lists(st.binary(min_size=1, max_size=5), max_size=20), st.sampled_from(["en", "ja"]))
def test_no_bytes_make_it_fail(data: list[bytes], language: str) -> None:
    for each in spoken([Token(d, 0.5) for d in data], language):
        assert each.text.strip()
        assert 0 <= each.confidence <= 1


@given(st.integers(0, 40_000), st.lists(st.sampled_from(["a", "word.", "extraordinary", "東"]), max_size=30))
def test_any_sound_and_any_words_get_times_in_order(length: int, texts: list[str]) -> None:
    audio = np.random.default_rng(0).standard_normal(length).astype(np.float32)
    starts, ends = align(audio, texts)
    now = 0
    for start, end in zip(starts, ends, strict=True):
        assert now <= start <= end <= length
        now = end

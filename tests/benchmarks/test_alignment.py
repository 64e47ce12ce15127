"""Which words of one text are which of another."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.alignment import align, standing
from tests.speech import errors

texts = st.lists(st.sampled_from("abcd"), max_size=9)


@settings(deadline=None)
@given(heard=texts, said=texts)
def test_edits_are_as_few_as_can_be_and_every_word_has_its_place(heard: list[str], said: list[str]) -> None:
    found = align(heard, said)
    assert found.wrong + len(found.missing) + found.invented == errors(heard, said)
    assert len(found.pairs) + found.wrong + found.invented == len(heard)
    assert len(found.pairs) + found.wrong + len(found.missing) == len(said)
    assert all(heard[i] == said[j] for i, j in found.pairs)
    for one, other in zip(found.pairs, found.pairs[1:], strict=False):
        assert one[0] < other[0]
        assert one[1] < other[1]
    assert not set(found.missing) & {j for _, j in found.pairs}


def test_case_and_punctuation_do_not_count() -> None:
    assert align(["Straße,", "»JA«"], ["strasse", "ja."]).pairs == ((0, 0), (1, 1))


@pytest.mark.parametrize(
    ("shown", "later", "pairs"),
    [
        ("", "a b", []),
        ("a b", "", []),
        ("a b", "a b c d", [(0, 0), (1, 1)]),
        ("a x", "a b c d", [(0, 0)]),
        ("x b", "a b c d", [(1, 1)]),
        ("b c", "a b c", [(0, 1), (1, 2)]),
        ("a b c", "a c", [(0, 0), (2, 1)]),
        ("c d", "a b c d c d", []),
    ],
)
def test_what_stands_is_found_in_the_beginning_of_the_later(
    shown: str, later: str, pairs: list[tuple[int, int]]
) -> None:
    assert list(standing(shown.split(), later.split())) == pairs


@settings(deadline=None)
@given(shown=texts, more=texts)
def test_what_is_only_added_to_stands_as_a_whole(shown: list[str], more: list[str]) -> None:
    assert standing(shown, shown + more) == tuple((place, place) for place in range(len(shown)))

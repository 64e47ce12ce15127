"""When all is normal again after an overload."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.overload import phase, recovery
from benchmarks.score import Latency
from tests.benchmarks.journals import final, journal, partial, speech

BEGIN, END = 10.0, 20.0


def words(*pairs: tuple[float, float]) -> list[Latency]:
    return [Latency(sent, seconds) for sent, seconds in pairs]


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        ([(21.0, 1.0), (22.0, 1.2)], 1.0),
        ([(20.0, 0.1)], 0.0),
        ([(21.0, 4.0), (22.0, 2.0), (23.0, 1.2), (24.0, 1.0)], 3.0),
        ([(21.0, 1.0), (22.0, 1.0), (23.0, 1.3), (24.5, 1.0)], 4.5),
        ([(21.0, 4.0)], None),
        ([(21.0, 1.0), (22.0, 1.21)], None),
        ([], None),
    ],
)
def test_it_is_over_with_the_first_word_from_which_on_all_are_as_quick_as_before(
    after: list[tuple[float, float]], seconds: float | None
) -> None:
    before_and_during = words((1.0, 1.0), (9.9, 1.2), (10.0, 30.0), (19.9, 9.0))
    assert recovery([*before_and_during, *words(*after)], BEGIN, END) == seconds


def test_without_a_word_before_the_load_there_is_nothing_to_compare() -> None:
    assert recovery(words((12.0, 1.0), (21.0, 1.0)), BEGIN, END) is None
    assert recovery([], BEGIN, END) is None


@settings(deadline=None)
@given(seconds=st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_recovery_is_never_earlier_than_the_last_slow_word(seconds: list[int]) -> None:
    after = words(*((21.0 + place, float(each)) for place, each in enumerate(seconds)))
    found = recovery([*words((1.0, 5.0)), *after], BEGIN, END)
    slow = [place for place, each in enumerate(seconds) if each > 5]
    first_good = slow[-1] + 1 if slow else 0
    assert found == (None if first_good == len(seconds) else first_good + 1.0)


def test_a_phase_has_what_was_sent_and_what_came_in_it() -> None:
    said = speech(("one", 1.0), ("two", 2.0), ("three", 3.0), seconds=6.0)
    seen = journal(said, partial(1.5, "one"), partial(2.25, "one two"), final(2.5, "one two"), final(3.75, "three"))
    early, late = phase(seen, 0.0, 2.4), phase(seen, 2.4, 6.0)
    assert early.word_latency is not None
    assert (early.word_latency.count, early.word_latency.worst) == (2, 0.5)
    assert early.partial_interval is not None
    assert (early.partial_interval.count, early.partial_interval.worst) == (1, 0.75)
    assert early.final_latency is not None
    assert early.final_latency.worst == 0.5
    assert late.word_latency is not None
    assert (late.word_latency.count, late.word_latency.worst) == (1, 0.75)
    assert phase(seen, 10.0, 20.0).word_latency is None

"""When all is normal again after an overload."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.overload import phase, recovery
from benchmarks.score import Latency
from tests.benchmarks.journals import final, journal, partial, speech

if TYPE_CHECKING:
    from collections.abc import Callable

BEGIN, END = 10.0, 20.0
NORMAL, SLOW = 1.0, 3.0


def heard(last: float, slow: Callable[[float], bool]) -> list[Latency]:
    """A word every half second from the start to `last`, slow during the load and where `slow` says so after it."""
    return [
        Latency(sent, SLOW if BEGIN <= sent < END or (sent >= END and slow(sent)) else NORMAL)
        for sent in np.arange(0.5, last + 0.1, 0.5)
    ]


def test_all_is_normal_at_once_where_no_word_is_slow_after_the_load() -> None:
    assert recovery(heard(60.0, lambda _: False), BEGIN, END) == 0.0


def test_it_is_over_when_hardly_a_word_of_any_ten_seconds_is_slow() -> None:
    # Of twenty words in ten seconds two may be slow, and the last slow one is sent at 27.5 s.
    assert recovery(heard(60.0, lambda sent: sent < 28.0), BEGIN, END) == 7.0


def test_a_single_slow_word_long_after_does_not_count() -> None:
    assert recovery(heard(60.0, lambda sent: sent == 45.0), BEGIN, END) == 0.0


def test_a_relapse_counts() -> None:
    assert recovery(heard(60.0, lambda sent: 40.0 <= sent < 43.0), BEGIN, END) == 22.0


def test_words_a_little_slower_than_before_are_normal() -> None:
    quick = [
        Latency(word.sent, word.seconds * (1.2 if word.sent >= END else 1.0)) for word in heard(60.0, lambda _: False)
    ]
    slower = [
        Latency(word.sent, word.seconds * (1.3 if word.sent >= END else 1.0)) for word in heard(60.0, lambda _: False)
    ]
    assert recovery(quick, BEGIN, END) == 0.0
    assert recovery(slower, BEGIN, END) is None


@pytest.mark.parametrize(
    "words",
    [
        heard(60.0, lambda _: True),
        heard(60.0, lambda sent: sent > 50.0),
        heard(29.0, lambda _: False),  # not a whole window after the load
        [word for word in heard(60.0, lambda _: False) if word.sent >= BEGIN],  # nothing to compare with
        [],
    ],
)
def test_it_is_not_seen_where_latency_stays_high_or_cannot_be_compared(words: list[Latency]) -> None:
    assert recovery(words, BEGIN, END) is None


@settings(deadline=None)
@given(slow=st.lists(st.booleans(), min_size=80, max_size=80))
def test_after_it_no_ten_seconds_are_slow(slow: list[bool]) -> None:
    words = heard(60.0, lambda sent: slow[min(79, int((sent - END) * 2))])
    found = recovery(words, BEGIN, END)
    if found is None:
        return
    for start in np.arange(END + found, 50.0, 0.5):
        window = [word.seconds for word in words if start <= word.sent < start + 10.0]
        assert sum(seconds > 2.0 for seconds in window) <= 2


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

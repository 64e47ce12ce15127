"""Figures of many connections together."""

from __future__ import annotations

from benchmarks.client import Journal
from benchmarks.score import score
from benchmarks.speech import Silence
from benchmarks.summary import Spread, spread, summarise
from tests.benchmarks.journals import final, journal, partial, speech

TWO = speech(("one", 1.0), ("two", 2.0), seconds=4.0)


def test_a_spread_has_quantiles_between_its_values() -> None:
    assert spread([]) is None
    assert spread([0.25]) == Spread(1, 0.25, 0.25, 0.25, 0.25)
    assert spread(value / 10 for value in reversed(range(101))) == Spread(101, 5.0, 9.0, 9.5, 10.0)
    assert spread([1.0, 2.0]) == Spread(2, 1.5, 1.9, 1.95, 2.0)


def test_connections_are_taken_together_word_by_word() -> None:
    quick = score(journal(TWO, partial(1.5, "one"), partial(2.5, "one two"), final(3.0, "one two")))
    slow = score(journal(TWO, partial(3.0, "won"), final(5.0, "one oh oh")))
    both = summarise([quick, slow])
    assert (both.connections, both.said, both.failures) == (2, 4, ())
    assert (both.wrong, both.missing, both.invented) == (1, 0, 1)
    assert both.word_error_rate == 0.5
    assert both.taken_back_per_100 == 20.0  # one of the five words that were shown last
    assert both.word_latency == Spread(3, 0.5, 3.3, 3.65, 4.0)
    assert both.eof_to_id == Spread(2, 0.5, 0.5, 0.5, 0.5)
    assert both.missing_rate == 0.0


def test_what_was_never_delivered_counts_by_the_words_said() -> None:
    summary = summarise([score(journal(TWO, final(3.0, "one")))])
    assert (summary.missing_rate, summary.word_error_rate, summary.longest_gap) == (0.5, 0.5, 1)


def test_silence_and_failures_leave_no_division_by_nothing() -> None:
    summary = summarise([score(Journal(Silence(3.0), failure="it hung up"))])
    assert summary.failures == ("it hung up",)
    assert (summary.word_error_rate, summary.missing_rate, summary.taken_back_per_100) == (0, 0, 0)
    assert summary.word_latency is None
    assert summary.figures()["said"] == 0

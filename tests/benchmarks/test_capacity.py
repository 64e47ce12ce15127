"""The search for the largest number of streams that a host holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.score import score
from benchmarks.summary import Spread, Summary, summarise
from tests.benchmarks.journals import final, journal, speech

pytest.importorskip("matplotlib", reason="the benchmarks draw what they find")

from benchmarks.capacity import MISHEARD, Probe, search

LIMIT = 3.0
GOOD = summarise([score(journal(speech(("one", 1.0), seconds=2.0), final(1.5, "one")))])


def within(seconds: float) -> Summary:
    return replace(GOOD, word_latency=Spread(10, 0.5, 1.0, seconds, 9.0))


@settings(deadline=None)
@given(holds=st.integers(0, 100), most=st.integers(1, 70))
def test_the_largest_number_that_is_held_is_found_with_few_tries(holds: int, most: int) -> None:
    tried: list[int] = []

    def probe(streams: int) -> Probe:
        tried.append(streams)
        return Probe(streams, within(LIMIT if streams <= holds else LIMIT + 0.001), None)

    found, probes = search(probe, limit=LIMIT, most=most)
    assert found == min(holds, most)
    assert [each.streams for each in probes] == sorted(set(tried)) == sorted(tried)
    assert max(tried) <= most
    assert len(tried) <= 14
    assert all(each.held(LIMIT, GOOD) == (each.streams <= holds) for each in probes)


@pytest.mark.parametrize(
    "summary",
    [
        within(LIMIT + 0.001),
        replace(GOOD, failures=("no export ID came",)),
        replace(GOOD, word_latency=None),
        replace(GOOD, longest_gap=MISHEARD + 1),
    ],
)
def test_late_words_failures_and_lost_audio_are_not_held(summary: Summary) -> None:
    assert not Probe(4, summary, None).held(LIMIT, GOOD)
    assert Probe(4, within(LIMIT), None).held(LIMIT, GOOD)


def test_what_one_stream_misses_alone_is_not_laid_to_the_load() -> None:
    deaf = replace(GOOD, longest_gap=7)
    assert Probe(4, deaf, None).held(LIMIT, deaf)
    assert not Probe(4, replace(GOOD, longest_gap=8), None).held(LIMIT, deaf)

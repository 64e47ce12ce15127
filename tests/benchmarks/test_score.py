"""What is said of journals whose figures are known."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.client import Journal
from benchmarks.score import Score, score
from benchmarks.speech import Silence, sent_at
from tests.benchmarks.journals import LENGTH, final, journal, partial, speech

TWO = speech(("one", 1.0), ("two", 2.0), seconds=4.0)
SIX = speech(*((word, 1.0 + at) for at, word in enumerate(["one", "two", "three", "four", "five", "six"])), seconds=8.0)


def latencies(judged: Score) -> list[float]:
    return [round(latency.seconds, 6) for latency in judged.words]


def test_a_word_counts_from_the_output_from_which_it_stands() -> None:
    judged = score(journal(TWO, partial(1.5, "one"), partial(2.6, "one two"), final(3.1, "One two.")))
    assert latencies(judged) == [0.5, 0.6]
    assert [latency.sent for latency in judged.words] == [1.0, 2.0]
    assert judged.taken_back == 0
    assert (judged.said, judged.heard, judged.shown) == (2, 2, 2)
    assert (judged.wrong, judged.missing, judged.invented) == (0, 0, 0)


def test_a_word_that_changed_and_came_back_counts_from_when_it_came_back() -> None:
    judged = score(
        journal(
            TWO,
            partial(1.5, "won"),
            partial(1.9, "one"),
            partial(2.5, "won two"),
            partial(2.8, "one two"),
            final(3.1, "one two"),
        )
    )
    assert latencies(judged) == [1.8, 0.5]
    assert judged.taken_back == 3  # won, one and won again


def test_a_word_that_vanished_for_a_while_counts_from_when_it_was_there_again() -> None:
    judged = score(journal(TWO, partial(2.2, "one two"), partial(2.4, "one"), final(3.0, "one two")))
    assert latencies(judged) == [1.2, 1.0]
    assert judged.taken_back == 1


def test_a_word_that_only_the_final_has_counts_from_the_final() -> None:
    assert latencies(score(journal(TWO, partial(1.2, "one"), final(3.5, "one two")))) == [0.2, 1.5]


def test_a_word_counts_from_when_the_frame_with_its_last_sample_was_sent() -> None:
    said = speech(("one", 1.04), ("two", 1.1), seconds=3.0)
    judged = score(journal(said, final(2.0, "one two")))
    assert [latency.sent for latency in judged.words] == pytest.approx([1.1, 1.1])


def test_the_last_frame_leaves_when_the_audio_ends() -> None:
    said = speech(("one", 1.02), seconds=1.05)
    judged = score(journal(said, final(1.5, "one")))
    assert latencies(judged) == [0.45]
    assert judged.last_final == pytest.approx(0.45)


def test_utterances_are_judged_apart() -> None:
    judged = score(
        journal(TWO, partial(1.2, "one"), final(1.4, "one"), partial(2.1, ""), partial(2.3, "two"), final(2.9, "two"))
    )
    assert latencies(judged) == [0.2, 0.3]
    assert judged.taken_back == 0
    assert [round(latency.seconds, 6) for latency in judged.finals] == [0.4, 0.9]
    assert judged.partial_intervals == pytest.approx((0.2, 0.2, 0.6))


def test_a_word_that_the_final_took_back_has_no_latency() -> None:
    judged = score(journal(TWO, partial(2.2, "one two"), final(3.0, "one")))
    assert latencies(judged) == [1.2]
    assert (judged.missing, judged.taken_back) == (1, 1)


def test_what_was_never_made_final_was_never_delivered() -> None:
    judged = score(journal(TWO, partial(2.2, "one two")))
    assert (judged.heard, judged.missing, judged.shown) == (0, 2, 2)
    assert judged.words == ()


@pytest.mark.parametrize(
    ("heard", "wrong", "missing", "gap", "invented"),
    [
        ("one two three four five six", 0, 0, 0, 0),
        ("one six", 0, 4, 4, 0),
        ("one three five", 0, 3, 1, 0),
        ("one too three four five six", 1, 0, 0, 0),
        ("oh one two three four five six yes yes", 0, 0, 0, 3),
        ("", 0, 6, 6, 0),
        ("one two two three four five six", 0, 0, 0, 1),
        ("two three four fife", 1, 2, 1, 0),
    ],
)
def test_edits_are_told_apart(heard: str, wrong: int, missing: int, gap: int, invented: int) -> None:
    judged = score(journal(SIX, final(9.0, heard)))
    assert (judged.wrong, judged.missing, judged.longest_gap, judged.invented) == (wrong, missing, gap, invented)
    assert len(judged.words) == 6 - wrong - missing


def test_all_that_is_heard_in_silence_is_invented() -> None:
    judged = score(Journal(Silence(5.0), outputs=[final(3.0, "thank you")], eof_at=5.0, id_at=5.1))
    assert (judged.said, judged.invented) == (0, 2)
    assert judged.finals == ()
    assert judged.last_final is None


def test_finals_before_eof_and_the_one_that_it_brought_are_told_apart() -> None:
    judged = score(journal(TWO, final(1.75, "one"), final(4.25, "two")))
    assert [(latency.sent, latency.seconds) for latency in judged.finals] == [(1.0, 0.75)]
    assert judged.last_final == pytest.approx(2.25)


def test_a_final_counts_from_its_last_word_that_was_heard_as_said() -> None:
    judged = score(journal(TWO, final(2.5, "one tool")))
    assert [latency.seconds for latency in judged.finals] == [1.5]


def test_eof_to_id_runs_from_when_eof_was_due() -> None:
    assert score(journal(TWO)).eof_to_id == pytest.approx(0.5)
    assert score(Journal(TWO, eof_at=4.0)).eof_to_id is None
    assert score(Journal(TWO)).eof_to_id is None


def test_a_stream_without_an_id_has_failed_and_says_why() -> None:
    assert score(journal(TWO)).failure is None
    assert score(Journal(TWO, eof_at=4.0)).failure == "no export ID came"
    assert score(Journal(TWO, failure="the server has gone")).failure == "the server has gone"


def test_starts_of_words_are_held_against_the_truth() -> None:
    judged = score(journal(TWO, final(3.0, "one zero two", (0.5, 1.0, 2.0))))
    assert judged.start_errors == pytest.approx((0.2, 0.3))  # said at 0.7 and at 1.7
    assert score(journal(TWO, final(3.0, "one two"))).start_errors == ()


outputs_of_words = st.lists(
    st.tuples(st.integers(1, 40), st.lists(st.booleans(), max_size=5)), max_size=8, unique_by=lambda pair: pair[0]
)


@settings(deadline=None)
@given(shown=outputs_of_words)
def test_latency_and_words_taken_back_are_as_defined(shown: list[tuple[int, list[bool]]]) -> None:
    # Every output shows a beginning of the final, some of its words misheard; so each word stays in its place.
    words = ["one", "two", "three", "four", "five"]
    said = speech(*((word, LENGTH * (at + 1)) for at, word in enumerate(words)), seconds=5.0)
    texts = [
        (tenths / 10, [word if right else f"not-{word}" for word, right in zip(words, rights, strict=False)])
        for tenths, rights in sorted(shown)
    ]
    texts.append((4.5, words))
    judged = score(
        journal(said, *(partial(at, " ".join(text)) for at, text in texts[:-1]), final(4.5, " ".join(words)))
    )
    for place, latency in enumerate(judged.words):
        stands = 4.5
        for at, text in reversed(texts):
            if text[place : place + 1] != [words[place]]:
                break
            stands = at
        assert latency.seconds == pytest.approx(stands - sent_at(LENGTH * (place + 1)))
    taken_back = sum(
        text[place] != (later + [""] * 5)[place]
        for (_, text), (_, later) in pairwise(texts)
        for place in range(len(text))
    )
    assert judged.taken_back == taken_back


@settings(deadline=None)
@given(finals=st.lists(st.lists(st.sampled_from(["one", "two", "three", "four", "ONE.", "x"]), max_size=6), max_size=4))
def test_every_word_is_accounted_for(finals: list[list[str]]) -> None:
    outputs = [final(9.0 + at, " ".join(text)) for at, text in enumerate(finals)]
    judged = score(journal(SIX, *outputs))
    assert judged.said == 6 == len(judged.words) + judged.wrong + judged.missing
    assert judged.heard == sum(map(len, finals)) == len(judged.words) + judged.wrong + judged.invented
    assert judged.longest_gap <= judged.missing
    assert all(latency.sent + latency.seconds in {output.at for output in outputs} for latency in judged.words)

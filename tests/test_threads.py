"""Several threads where they are quicker, and one where they are not, by what inferences were measured to take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from server.inference.threads import LONGEST_REST, REST, TRIALS, WORTHWHILE, Threads

if TYPE_CHECKING:
    from collections.abc import Callable

SPARE = 4


def run(threads: Threads, inferences: int, seconds: Callable[[int], float], spare: int = SPARE) -> list[int]:
    """Let inferences take as long as `seconds` says for a number of threads; return the threads that were chosen."""
    chosen = []
    for _ in range(inferences):
        count = threads.choose(spare)
        threads.note(count, spare, seconds(count), 4.0)
        chosen.append(count)
    return chosen


def idle(threads: int) -> float:
    return 2.0 / (1 + (threads - 1) / 2)


def crowded(threads: int) -> float:
    return 2.0 if threads == 1 else 10.0


def test_on_an_idle_host_several_threads_are_found_quicker_and_kept() -> None:
    chosen = run(Threads(), 500, idle)
    assert set(chosen[4 * TRIALS :]) == {1, SPARE}
    assert chosen[4 * TRIALS :].count(1) < 500 * 2 * TRIALS / REST  # a look now and then whether that is still so


def test_beside_a_busy_neighbour_several_threads_are_tried_ever_more_rarely() -> None:
    chosen = run(Threads(), 10 * LONGEST_REST, crowded)
    assert chosen.count(SPARE) <= TRIALS * 20
    assert chosen[LONGEST_REST:].count(SPARE) < len(chosen) / 100


def test_a_neighbour_who_comes_is_noticed_within_a_few_inferences() -> None:
    threads = Threads()
    run(threads, 100, idle)
    chosen = run(threads, 50, crowded)
    assert chosen.count(SPARE) <= 3 * TRIALS


def test_a_neighbour_who_goes_is_noticed_too() -> None:
    threads = Threads()
    run(threads, 50, crowded)
    assert run(threads, 4 * LONGEST_REST, idle)[-REST:].count(SPARE) >= REST - 2 * TRIALS


def test_quick_inferences_stay_on_one_thread() -> None:
    assert set(run(Threads(), 200, lambda threads: WORTHWHILE / 2 / threads)) == {1}


@given(st.lists(st.tuples(st.integers(1, 8), st.floats(0.001, 100), st.floats(0.1, 30))))
def test_never_more_than_there_are(inferences: list[tuple[int, float, float]]) -> None:
    threads = Threads()
    for spare, seconds, length in inferences:
        count = threads.choose(spare)
        assert count in {1, spare}
        threads.note(count, spare, seconds, length)

"""How long words take from the ear to the screen, to the exact time."""

from __future__ import annotations

from engine.types import SAMPLE_RATE, Final, Word
from server.monitoring.latency import LatencyMeter


def said(*words: tuple[str, float]) -> Final:
    """Words with the second at which each ends."""
    return Final(
        tuple(Word(text, int((end - 0.2) * SAMPLE_RATE), int(end * SAMPLE_RATE), 0.9) for text, end in words), "en"
    )


def heard(meter: LatencyMeter, seconds: float, delay: float = 0.0) -> None:
    """A frame every 100 ms, each `delay` seconds late."""
    for frame in range(1, round(seconds * 10) + 1):
        meter.heard(frame * SAMPLE_RATE // 10, frame / 10 + delay)


def test_a_word_stands_from_the_partial_that_shows_it_first() -> None:
    meter = LatencyMeter()
    heard(meter, 3)
    meter.partial(" one", 1.5)
    meter.partial(" one two", 2.5)
    taken = meter.final(said((" one", 1.0), (" two", 2.0), (" three", 2.5)), 4.0)
    assert taken.words == (0.5, 0.5, 1.5)
    assert taken.final == 1.5


def test_a_word_that_was_taken_back_stands_from_when_it_came_again() -> None:
    meter = LatencyMeter()
    heard(meter, 3)
    for text, at in ((" one too", 1.5), (" won", 2.0), (" one two", 2.5)):
        meter.partial(text, at)
    assert meter.final(said((" one", 1.0), (" two", 1.2)), 3.0).words == (1.5, 1.3)


def test_a_closing_mark_may_come_later_than_its_word() -> None:
    meter = LatencyMeter()
    heard(meter, 2)
    meter.partial(" one", 1.5)
    assert meter.final(said((" one.", 1.0)), 2.0).words == (0.5,)


def test_time_counts_from_when_the_audio_came_not_from_when_it_was_spoken() -> None:
    meter = LatencyMeter()
    heard(meter, 2, delay=5)
    assert meter.final(said((" one", 1.0)), 7.0).final == 1.0


def test_partials_of_one_final_say_nothing_of_the_next() -> None:
    meter = LatencyMeter()
    heard(meter, 4)
    meter.partial(" one", 1.5)
    meter.final(said((" one", 1.0)), 2.0)
    assert meter.final(said((" one", 3.0)), 4.0).words == (1.0,)


def test_hours_of_silence_take_no_room() -> None:
    meter = LatencyMeter()
    heard(meter, 3 * 3600)
    assert len(meter._ends) < 1300
    assert meter.final(said((" one", 3 * 3600 - 50.0)), 3 * 3600.0).final == 50.0

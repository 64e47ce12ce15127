"""What the clients of the benchmarks say, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.speech import (
    RATE,
    Part,
    Silence,
    Speech,
    conversation,
    monologue,
    of_clip,
    recorded,
    sent_at,
)
from tests.speech import Clip

if TYPE_CHECKING:
    from collections.abc import Callable

RAMP = Clip("ramp", "en", np.arange(2 * RATE, dtype=np.int16).tobytes(), (("a", 0.25, 0.5), ("b", 1.0, 1.5)))
"""Two seconds in which every sample is another."""

times = st.integers(0, 3_000).map(lambda milliseconds: milliseconds / 1000)
parts = st.builds(Part, pause=times, clip=st.just(RAMP), start=st.just(0.2), end=st.just(1.6))
speeches = st.builds(
    Speech, name=st.just("made"), language=st.just("en"), parts=st.lists(parts, max_size=5).map(tuple), tail=times
)


def samples(speech: Speech | Silence, frame: float = 0.1) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.frombuffer(b"".join(speech.frames(frame)), np.int16)


@settings(deadline=None, max_examples=50)
@given(speech=speeches, milliseconds=st.integers(1, 500))
def test_frames_are_of_one_length_and_lose_nothing(speech: Speech, milliseconds: int) -> None:
    frames = list(speech.frames(milliseconds / 1000))
    assert {len(frame) for frame in frames[:-1]} <= {milliseconds * RATE // 1000 * 2}
    assert all(0 < len(frame) <= milliseconds * RATE // 1000 * 2 for frame in frames)
    assert b"".join(frames) == samples(speech).tobytes()
    assert sum(map(len, frames)) == 2 * round(speech.seconds * RATE)


@settings(deadline=None, max_examples=50)
@given(speech=speeches)
def test_words_are_in_the_audio_where_they_are_said_to_be(speech: Speech) -> None:
    audio = samples(speech)
    words = list(speech.words)
    assert [word.text for word in words] == ["a", "b"] * len(speech.parts)
    for word in words:
        for at, in_clip in ((word.start, 0.25), (word.end, 0.5)) if word.text == "a" else ((word.start, 1.0),):
            assert abs(int(audio[round(at * RATE)]) - round(in_clip * RATE)) <= 1


@pytest.mark.parametrize(
    ("spoken", "sent"),
    [(0.0, 0.0), (0.01, 0.1), (0.1, 0.1), (0.3, 0.3), (0.30001, 0.4), (1.1, 1.1), (3600.7, 3600.7), (1.25, 1.3)],
)
def test_a_sample_is_sent_with_the_rest_of_its_frame(spoken: float, sent: float) -> None:
    assert sent_at(spoken) == pytest.approx(sent)


@pytest.mark.parametrize("make", [conversation, monologue])
def test_conversations_are_as_long_as_asked_and_the_same_every_time(make: Callable[[str, float, int], Speech]) -> None:
    one, same, other = make("de", 30.0, 1), make("de", 30.0, 1), make("de", 30.0, 2)
    assert one == same
    assert one.parts != other.parts
    assert 30.0 <= one.seconds < 31.0
    assert {part.clip.language for part in one.parts} == {"de"}
    ends = [0.0, *(word.end for word in one.words)]
    assert ends == sorted(ends)


def test_every_clip_is_said_as_it_is() -> None:
    for clip in recorded():
        speech = of_clip(clip)
        assert samples(speech).tobytes() == clip.pcm
        assert [(word.text, word.start, word.end) for word in speech.words] == list(clip.words)


def test_silence_is_faint_and_without_words() -> None:
    silence = Silence(2.5)
    assert len(samples(silence)) == 2.5 * RATE
    assert 0 < np.abs(samples(silence)).max() <= 16
    assert list(silence.words) == []

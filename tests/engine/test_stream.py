"""The streaming core with a recognizer that plays a script, and a detector that hears tones: no model, no clock."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidAudioError
from engine.policy import Policy
from engine.scripted import ScriptedRecognizer
from engine.stream import Stream
from engine.types import SAMPLE_RATE, Event, Final, Hypothesis, Partial, Window, Word

VOCABULARY = "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november".split()  # noqa: SIM905 - reads better


class Loudness:
    """Every frame that is not silent is speech."""

    def is_speech(self, frame: np.ndarray) -> bool:
        return bool(np.abs(frame).max() > 0.01)


def speech(durations: list[float], gaps: list[float], words: list[str]) -> tuple[bytes, list[Word]]:
    """Tones where words are said, silence in the gaps; and the script."""
    pieces: list[np.ndarray] = []
    script: list[Word] = []
    now = 0
    for word, duration, gap in zip(words, durations, gaps, strict=True):
        silent, sounding = int(gap * SAMPLE_RATE), int(duration * SAMPLE_RATE)
        pieces += [np.zeros(silent), 0.3 * np.sin(np.arange(sounding) * 0.1)]
        script.append(Word(f" {word}", now + silent, now + silent + sounding, 0.9))
        now += silent + sounding
    pieces.append(np.zeros(SAMPLE_RATE // 5))
    return (np.concatenate(pieces) * 32_767).astype("<i2").tobytes(), script


def run(pcm: bytes, script: list[Word], *, chunk: int, every: int = 1, policy: Policy | None = None) -> list[Event]:
    """Feed in chunks; after every `every` chunks one inference is made, as if the others had found no free slot."""
    recognizer = ScriptedRecognizer(script)
    stream = Stream(policy or Policy(language="en"), Loudness())
    events: list[Event] = []
    heard: Counter[tuple[int, int]] = Counter()

    def infer() -> bool:
        window = stream.next_window()
        if window is not None:
            heard[window.start, window.end] += 1
            # The place where a long window is cut may by chance be where one ended before.
            assert heard[window.start, window.end] <= 2, "a window that was heard is asked for again and again"
            stream.accept(recognizer.recognize(window, threads=1, should_abort=lambda: False))
        events.extend(stream.take_events())
        return window is not None

    position = count = 0
    while position < len(pcm):
        size = min(chunk, stream.room, len(pcm) - position)
        stream.feed(pcm[position : position + size])
        position += size
        count += 1
        if count % every == 0 or not stream.room:
            infer()
    stream.finish()
    while not stream.done:
        infer()
    events.extend(stream.take_events())
    return events


def words_of(events: list[Event]) -> list[Word]:
    return [word for event in events if isinstance(event, Final) for word in event.words]


spoken = st.lists(
    st.tuples(
        st.sampled_from(VOCABULARY),
        st.floats(0.25, 0.7),
        st.sampled_from([0.05, 0.08, 0.3, 1.0]),
        st.sampled_from(["", "", "", ".", ","]),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(spoken=spoken, chunk=st.sampled_from([640, 3_201, 32_000]), every=st.integers(1, 30))
def test_every_word_comes_out_once_in_order_and_is_never_taken_back(
    spoken: list[tuple[str, float, float, str]], chunk: int, every: int
) -> None:
    # Equal neighbours with no pause between are left out: a seam between them is a matter of luck.
    spoken = [a for a, b in pairwise([*spoken, ("", 0, 0, "")]) if a[0] != b[0]]
    pcm, script = speech([s[1] for s in spoken], [s[2] for s in spoken], [s[0] + s[3] for s in spoken])
    events = run(pcm, script, chunk=chunk, every=every)
    assert [w.text.strip(" .,") for w in words_of(events)] == [w.text.strip(" .,") for w in script]
    shown: list[str] = []
    for event in events:
        now = event.text.split()
        assert now[: len(shown)] == shown
        shown = now if isinstance(event, Partial) else []
    assert shown == []


@settings(max_examples=60, deadline=None)
@given(
    spoken=st.lists(
        st.tuples(st.sampled_from(["no", "two", "no."]), st.floats(0.2, 0.7), st.sampled_from([0.3, 0.45, 1.0, 20.0])),
        min_size=1,
        max_size=4,  # more in one breath pass for a loop of the recognizer's
    ),
    every=st.integers(1, 10),
)
def test_a_word_that_is_said_again_after_a_pause_is_written_again(
    spoken: list[tuple[str, float, float]], every: int
) -> None:
    pcm, script = speech([s[1] for s in spoken], [s[2] for s in spoken], [s[0] for s in spoken])
    words = words_of(run(pcm, script, chunk=3_200, every=every))
    assert [w.text.strip(" .") for w in words] == [w.text.strip(" .") for w in script]


@settings(max_examples=40, deadline=None)
@given(words=st.integers(0, 30), wordless=st.floats(1.0, 20.0), every=st.integers(1, 10))
def test_sound_in_which_no_word_is_heard_holds_nothing_up(words: int, wordless: float, every: int) -> None:
    """Laughter, singing, a word that comes so often that it passes for a loop: a detector takes it all for speech."""
    pcm, script = speech([0.4] * words, [0.02] * words, [VOCABULARY[i % len(VOCABULARY)] for i in range(words)])
    sound = 0.3 * np.sin(np.arange(int(wordless * SAMPLE_RATE)) * 0.1)
    pcm = pcm[: -2 * (SAMPLE_RATE // 5)] + (sound * 32_767).astype("<i2").tobytes()
    more, _ = speech([0.4], [1.0], ["last"])
    last = Word(" last", len(pcm) // 2 + SAMPLE_RATE, len(pcm) // 2 + SAMPLE_RATE + int(0.4 * SAMPLE_RATE), 0.9)
    heard = words_of(run(pcm + more, [*script, last], chunk=3_200, every=every))
    assert [word.text for word in heard] == [word.text for word in [*script, last]]


@settings(max_examples=30, deadline=None)
@given(spoken=spoken, every=st.integers(1, 10))
def test_times_are_in_order_and_inside_the_audio(spoken: list[tuple[str, float, float, str]], every: int) -> None:
    pcm, script = speech([s[1] for s in spoken], [s[2] for s in spoken], [s[0] for s in spoken])
    now = 0
    for word in words_of(run(pcm, script, chunk=3_200, every=every)):
        assert now <= word.start <= word.end <= len(pcm) // 2
        now = word.end


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, 9_999), min_size=1, max_size=50))
def test_how_the_audio_is_cut_changes_nothing(cuts: list[int]) -> None:
    pcm, script = speech([0.4] * 12, [0.1, 0.8] * 6, VOCABULARY[:12])
    stream = Stream(Policy(language="en"), Loudness())
    whole = Stream(Policy(language="en"), Loudness())
    whole.feed(pcm)
    position = 0
    while position < len(pcm):
        for cut in cuts:
            stream.feed(pcm[position : position + cut])
            position += cut
    outcomes = []
    for each in (stream, whole):
        each.finish()
        while window := each.next_window():
            each.accept(ScriptedRecognizer(script).recognize(window, threads=1, should_abort=lambda: False))
        outcomes.append(each.take_events())
    assert outcomes[0] == outcomes[1]


def test_unbroken_speech_becomes_final_after_the_set_duration() -> None:
    names = [VOCABULARY[i % len(VOCABULARY)] for i in range(100)]
    pcm, script = speech([0.4] * 100, [0.02] * 100, names)
    events = run(pcm, script, chunk=3_200, policy=Policy(language="en", max_utterance=5 * SAMPLE_RATE))
    finals = [event for event in events if isinstance(event, Final)]
    assert all(final.words[-1].end - final.words[0].start <= 7 * SAMPLE_RATE for final in finals)
    assert [word.text.strip() for word in words_of(events)] == names


def test_silence_is_never_decoded() -> None:
    stream = Stream(Policy(language="en"), Loudness())
    for _ in range(600):
        stream.feed(bytes(3_200))
        assert not stream.due
    stream.finish()
    assert stream.done
    assert stream.take_events() == []


def test_the_last_word_is_there_when_the_end_comes_while_an_inference_runs() -> None:
    pcm, script = speech([0.4, 0.4, 0.4], [0.1, 0.1, 0.1], ["one", "two", "three"])
    stream = Stream(Policy(language="en"), Loudness())
    stream.feed(pcm[:30_000])
    window = stream.next_window()
    assert window is not None
    stream.feed(pcm[30_000:])
    stream.finish()
    assert stream.superseded
    stream.fail()  # what an aborted inference comes to
    while window := stream.next_window():
        stream.accept(ScriptedRecognizer(script).recognize(window, threads=1, should_abort=lambda: False))
    assert [word.text for word in words_of(stream.take_events())] == [" one", " two", " three"]


def test_a_window_that_holds_all_there_is_is_worth_finishing_at_the_end() -> None:
    pcm, _ = speech([0.4, 0.4, 0.4], [0.1, 0.1, 0.1], ["one", "two", "three"])
    stream = Stream(Policy(language="en"), Loudness())
    stream.feed(pcm[: -2 * (SAMPLE_RATE // 5)])
    window = stream.next_window()
    assert window is not None
    assert window.end == stream.received
    stream.finish()
    assert not stream.superseded


@pytest.mark.parametrize("cut", range(15_000, 60_000, 5_000))
def test_a_flush_in_mid_speech_gives_the_same_words_however_late_it_is_decoded(cut: int) -> None:
    pcm, script = speech([0.4] * 6, [0.06] * 6, VOCABULARY[:6])

    def transcript(late: int) -> list[str]:
        """`late`: bytes that come in before a recognizer is free."""
        stream, recognizer = Stream(Policy(language="en"), Loudness()), ScriptedRecognizer(script)
        stream.feed(pcm[:cut])
        stream.flush()
        for start in (cut, *range(cut + late, len(pcm), 3_200)):
            stream.feed(pcm[start : start + (late if start == cut else 3_200)])
            while window := stream.next_window():
                stream.accept(recognizer.recognize(window, threads=1, should_abort=lambda: False))
        stream.finish()
        while window := stream.next_window():
            stream.accept(recognizer.recognize(window, threads=1, should_abort=lambda: False))
        return [word.text for word in words_of(stream.take_events())]

    assert transcript(9_600) == transcript(320)


def test_a_recognizer_that_fails_at_once_is_not_asked_again_without_new_sound() -> None:
    pcm, _ = speech([0.4] * 20, [0.02] * 20, ["x"] * 20)
    stream, asked = Stream(Policy(language="en"), Loudness()), 0
    for start in range(0, len(pcm), 3_200):
        stream.feed(pcm[start : start + 3_200])
        for _ in range(5):
            if stream.next_window():
                asked += 1
                stream.fail()
    assert 10 < asked <= len(pcm) // 2 // Policy().step + 5


def test_a_recognizer_that_always_fails_loses_no_time_and_what_was_settled_stays() -> None:
    pcm, script = speech([0.4] * 4, [0.1] * 4, VOCABULARY[:4])
    stream = Stream(Policy(language="en"), Loudness())
    for i in range(0, len(pcm) - 8_000, 3_200):
        stream.feed(pcm[i : i + 3_200])
        if window := stream.next_window():
            stream.accept(ScriptedRecognizer(script).recognize(window, threads=1, should_abort=lambda: False))
    stream.finish()
    while stream.next_window():
        stream.fail()
    assert stream.done
    assert [word.text.strip() for word in words_of(stream.take_events())][:2] == VOCABULARY[:2]


def test_a_recognizer_that_hears_nothing_does_not_stop_the_stream() -> None:
    pcm, _ = speech([0.4] * 80, [0.02] * 80, ["x"] * 80)
    stream = Stream(Policy(language="en"), Loudness())
    for i in range(0, len(pcm), 32_000):
        stream.feed(pcm[i : i + 32_000])
        while window := stream.next_window():
            assert len(window.samples) <= Policy().max_window
            stream.accept(Hypothesis((), "en"))
    stream.finish()
    while stream.next_window():
        stream.accept(Hypothesis((), "en"))
    assert stream.done


def test_no_audio_is_taken_after_the_end() -> None:
    stream = Stream(Policy(), Loudness())
    stream.finish()
    with pytest.raises(InvalidAudioError, match="finished"):
        stream.feed(b"\0\0")


def test_eager_partials_show_words_before_they_stand() -> None:
    pcm, script = speech([0.5] * 3, [0.1] * 3, ["one", "two", "three"])
    streams = [Stream(Policy(language="en", step=4_800, eager=eager), Loudness()) for eager in (False, True)]
    shown = ["", ""]
    ahead = 0
    for start in range(0, len(pcm), 3_200):
        for index, stream in enumerate(streams):
            stream.feed(pcm[start : start + 3_200])
            if window := stream.next_window():
                stream.accept(ScriptedRecognizer(script).recognize(window, threads=1, should_abort=lambda: False))
            shown[index] = next((each.text for each in reversed(stream.take_events())), shown[index])
        stable, eager = shown
        assert eager.startswith(stable)
        ahead += eager != stable
    assert ahead


class Bilingual:
    """Takes a short window for German, as a model does that has heard too little; and says German words then."""

    def __init__(self, script: list[Word]) -> None:
        self._german = ScriptedRecognizer([replace(word, text=word.text.upper()) for word in script], "de")
        self._english = ScriptedRecognizer(script, "en")

    def recognize(self, window: Window) -> Hypothesis:
        german = len(window.samples) < 3 * SAMPLE_RATE // 2 if window.detect else window.language == "de"
        recognizer = self._german if german else self._english
        return recognizer.recognize(window, threads=1, should_abort=lambda: False)


def test_a_first_guess_at_the_language_shows_no_words_of_a_wrong_one() -> None:
    pcm, script = speech([0.4] * 10, [0.05] * 10, VOCABULARY[:10])
    stream, recognizer = Stream(Policy(language="auto"), Loudness()), Bilingual(script)
    events: list[Event] = []
    for start in range(0, len(pcm), 3_200):
        stream.feed(pcm[start : start + 3_200])
        if window := stream.next_window():
            stream.accept(recognizer.recognize(window))
        events += stream.take_events()
    shown = [event.text for event in events if isinstance(event, Partial)]
    assert shown
    assert shown == [text.lower() for text in shown]


def test_what_is_too_short_to_be_sure_of_the_language_is_said_all_the_same() -> None:
    pcm, script = speech([0.4] * 2, [0.05] * 2, VOCABULARY[:2])
    events = run(pcm, script, chunk=3_200, policy=Policy(language="auto"))
    assert [word.text.strip() for word in words_of(events)] == VOCABULARY[:2]

"""The audio that is decoded offline, to compare streaming with: all of it, cut between sentences."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.offline import SHORT_WINDOWS, Pass, decode, pieces
from benchmarks.speech import RATE, Speech, conversation, of_clip, recorded
from engine.text import ends_sentence
from models.library import BUNDLED, find

SPEECHES = [*map(of_clip, recorded()), conversation("en", 60.0, 3), conversation("de", 60.0, 3)]


@pytest.mark.parametrize("longest", [SHORT_WINDOWS, 14.0, 1.0, 1000.0])
@pytest.mark.parametrize("speech", SPEECHES, ids=lambda speech: speech.name)
def test_no_audio_is_left_out(speech: Speech, longest: float) -> None:
    audio = np.frombuffer(b"".join(speech.frames()), np.int16).astype(np.float32) / np.float32(2**15)
    assert np.array_equal(np.concatenate(list(pieces(speech, longest))), audio)


@pytest.mark.parametrize("speech", SPEECHES, ids=lambda speech: speech.name)
def test_pieces_are_cut_in_pauses_between_sentences_and_as_long_as_can_be(speech: Speech) -> None:
    lengths = [len(piece) / RATE for piece in pieces(speech, SHORT_WINDOWS)]
    cuts = np.cumsum(lengths)[:-1]
    pauses = [(before, after) for before, after in pairwise(speech.words) if ends_sentence(before.text)]
    for cut in cuts:
        assert any(before.end - 0.001 <= cut <= after.start + 0.001 for before, after in pauses)
    assert all(one + other > SHORT_WINDOWS for one, other in pairwise(lengths))
    for end, length in zip(np.cumsum(lengths), lengths, strict=True):
        cuttable = any(end - length < before.end and after.start < end for before, after in pauses)
        assert length <= SHORT_WINDOWS or not cuttable


def test_a_clip_of_one_sentence_is_decoded_too() -> None:
    clip = next(clip for clip in recorded() if sum(ends_sentence(word) for word, _, _ in clip.words) == 1)
    told: list[float] = []
    once = decode(find(BUNDLED).path, 0, [of_clip(clip)], on_seconds=told.append)
    assert once.heard[0]
    assert sum(told) == pytest.approx(once.audio_seconds, abs=0.01)
    assert once.cpu_seconds > 0


def test_words_that_the_model_leaves_out_offline_are_counted() -> None:
    said = [word.text for word in SPEECHES[0].words]
    found = Pass((tuple(said), tuple(said[:-2])), 1.0, 1.0).alignments([SPEECHES[0], SPEECHES[0]])
    assert [len(each.missing) for each in found] == [0, 2]

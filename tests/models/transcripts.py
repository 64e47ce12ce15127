"""What whisper.cpp hears in the test clips with a model."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from engine.text import normalise
from engine.types import Window
from engine.whisper import Decoding, WhisperRecognizer, logging_to
from tests.speech import clips, errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.types import Word

Words = list[str]

BEARABLE = 2 * 16_000 * 8
"""Bytes of clips that are not too long for one window of the bundled model."""


def transcripts(model: Path, names: Sequence[str] = ()) -> dict[str, Words]:
    """The words of every clip that is short enough, or of these, as words are compared."""
    return {name: [normalise(word.text) for word in words] for name, words in heard_in(model, names).items()}


def heard_in(model: Path, names: Sequence[str] = ()) -> dict[str, tuple[Word, ...]]:
    heard = {}
    with logging_to(lambda _: None), closing(WhisperRecognizer(model, Decoding())) as recognizer:
        for clip in clips():
            if clip.name in names or (not names and len(clip.pcm) <= BEARABLE):
                samples = clip.samples
                window = Window(samples, 0, clip.language)
                heard[clip.name] = recognizer.recognize(window, threads=1, should_abort=lambda: False).words
    return heard


def differences(heard: dict[str, Words], reference: dict[str, Words]) -> int:
    """Words of all clips that differ."""
    return sum(errors(heard[name], reference[name]) for name in reference)

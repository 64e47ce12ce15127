"""The speech that is learned from: made once, kept as one file of samples and one of texts and times.

Every sentence has its own seed, so the corpus does not depend on how many processes make it.
"""

from __future__ import annotations

import json
import random
from contextlib import closing
from dataclasses import astuple, dataclass
from itertools import repeat
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

import numpy as np

from models.training.grammar import load
from models.training.utterance import Pcm, Utterance, Word
from models.training.voices import Voices

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHARE_OF_GERMAN: Final = 0.38
SHARE_OF_RECORDED: Final = 0.45
"""Of the English sentences; the others are espeak-ng's."""

BLOCK: Final = 1000
"""Sentences that one process makes, before a fresh one goes on: the synthesisers' sound depends on what went before."""

FORMAT: Final = "{seed}-{count}"


@dataclass(frozen=True, slots=True)
class Corpus:
    """All utterances: their samples one after another, and where each lies."""

    pcm: Pcm
    entries: list[tuple[int, int, str, str, str, tuple[Word, ...]]]
    """First sample, number of samples, language, voice, text, words."""

    def utterance(self, index: int) -> Utterance:
        """The utterance of that number; its samples are a view of the file."""
        first, length, language, voice, text, words = self.entries[index]
        return Utterance(language, voice, text, self.pcm[first : first + length], words)


def corpus(folder: Path, seed: int, count: int, processes: int) -> Corpus:
    """Read the corpus of `count` sentences in `folder`, or make it first (about 40 sentences a second and core)."""
    samples, index = (folder / f"{FORMAT.format(seed=seed, count=count)}.{kind}" for kind in ("pcm", "json"))
    if not index.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _make(samples, index, seed, count, processes)
    entries = [
        (first, length, language, voice, text, tuple(Word(*word) for word in words))
        for first, length, language, voice, text, words in json.loads(index.read_text(encoding="utf-8"))
    ]
    return Corpus(np.memmap(samples, np.int16, "r"), entries)


def _make(samples: Path, index: Path, seed: int, count: int, processes: int) -> None:
    entries, at = [], 0
    blocks = [range(first, min(first + BLOCK, count)) for first in range(0, count, BLOCK)]
    with samples.open("wb") as file, get_context("spawn").Pool(processes, maxtasksperchild=1) as pool:
        for block in pool.imap(_block, zip(repeat(seed), blocks, strict=False)):
            for said in block:
                file.write(said.pcm.tobytes())
                words = [astuple(word) for word in said.words]
                entries.append((at, len(said.pcm), said.language, said.voice, said.text, words))
                at += len(said.pcm)
    partial = index.with_suffix(".partial")
    partial.write_text(json.dumps(entries, ensure_ascii=False), encoding="utf-8")
    partial.replace(index)


def _block(task: tuple[int, range]) -> list[Utterance]:
    seed, numbers = task
    return list(spoken(seed, numbers))


def spoken(seed: int, numbers: range) -> Iterator[Utterance]:
    """Speak the sentences of these numbers."""
    grammars = {language: load(language) for language in ("en", "de")}
    with closing(Voices()) as voices:
        for number in numbers:
            rng = random.Random(f"{seed} {number}")
            language = "de" if rng.random() < SHARE_OF_GERMAN else "en"
            text = grammars[language].sentence(rng)
            if language == "en" and rng.random() < SHARE_OF_RECORDED:
                said = voices.recorded(text, rng)
            else:
                said = voices.espeak(language, text, rng)
            if said is not None:
                yield said

"""Windows and their lessons as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from models.training import timbre
from models.training.lesson import NOWHERE, STEP_S, UNASKED, Lesson, silent_target, write
from models.training.network import MEL_BANDS
from models.training.vocabulary import END, START

if TYPE_CHECKING:
    from random import Random

    from models.training.timbre import Timbre
    from models.training.vocabulary import Vocabulary
    from models.training.windows import Stage, Window, Windows

GRAIN: Final = 8
"""Tokens are padded to a multiple of this: fewer shapes for the kernels."""


@dataclass(frozen=True, slots=True)
class Batch:
    """`sound`: float32 (windows, samples). `tokens`, `targets`: int64 rows (windows, n).

    `spoken`, `heard`: int64 positions (windows, n, 2), first and one past the last, of the sound of the token that is
    read, and of the one that is foretold; both 0 where there is none. `letters`: int64, all windows' one after
    another; `lengths`: int64 (windows,), how many are whose. `timbre`: what the windows are heard with. `recalling`:
    see `windows.Stage`.
    """

    sound: Tensor
    tokens: Tensor
    targets: Tensor
    spoken: Tensor
    heard: Tensor
    letters: Tensor
    lengths: Tensor
    timbre: Timbre
    recalling: bool


def draw(windows: Windows, vocabulary: Vocabulary, shape: tuple[int, int], stage: Stage, rng: Random) -> Batch:
    """A batch of `shape`: windows, and encoder positions of each."""
    drawn = [windows.draw(shape[1], stage, rng) for _ in range(shape[0])]
    lessons = [write(window, vocabulary, rng, recalling=stage.recalling) for window in drawn]
    speakers = timbre.draw(shape[0], MEL_BANDS, rng, stage.strength)
    return collate(drawn, lessons, vocabulary, speakers, recalling=stage.recalling)


def collate(
    windows: list[Window], lessons: list[Lesson], vocabulary: Vocabulary, speakers: Timbre, *, recalling: bool = True
) -> Batch:
    """Put windows of one length and their lessons together."""
    positions = len(windows[0].sound) // 320
    width = max(len(lesson.tokens) for lesson in lessons) - 1
    width = (width + GRAIN - 1) // GRAIN * GRAIN
    tokens = np.full((len(lessons), width), vocabulary.row[END])
    targets = np.full((len(lessons), width), UNASKED)
    spans = np.zeros((2, len(lessons), width, 2), np.int64)
    for index, (window, lesson) in enumerate(zip(windows, lessons, strict=True)):
        count = len(lesson.tokens) - 1
        tokens[index, :count] = lesson.tokens[:-1]
        targets[index, :count] = np.where(lesson.asked[1:], lesson.tokens[1:], UNASKED)
        if window.silent:
            targets[index, lesson.tokens.index(vocabulary.row[START])] = silent_target(vocabulary)
        places = np.array([_positions(span, positions) for span in lesson.spans])
        spans[0, index, :count], spans[1, index, :count] = places[:-1], places[1:]
    return Batch(
        torch.from_numpy(np.stack([window.sound for window in windows])),
        torch.from_numpy(tokens),
        torch.from_numpy(targets),
        torch.from_numpy(spans[0]),
        torch.from_numpy(spans[1]),
        torch.tensor([letter for lesson in lessons for letter in lesson.letters], dtype=torch.int64),
        torch.tensor([len(lesson.letters) for lesson in lessons]),
        speakers,
        recalling,
    )


def _positions(span: tuple[float, float], positions: int) -> tuple[int, int]:
    if span == NOWHERE:
        return 0, 0
    first = min(max(0, round(span[0] / STEP_S)), positions - 1)
    return first, min(max(first + 1, round(span[1] / STEP_S)), positions)

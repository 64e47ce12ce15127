"""Whisper's tokens, and which of them the small language needs.

Only the tokens in use are learned, each as a row of a small embedding. One more row stands for all the others: they
are all alike, so their common logit counts as many times as they are.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from models.architecture import FFT_BINS, POSITIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.training.grammar import Grammar

SIZE: Final = 51_865
"""Tokens of a multilingual Whisper before large-v3."""

END, START, TRANSCRIBE, PREVIOUS, NO_SPEECH, NO_TIMESTAMPS, FIRST_TIME = (
    50_257, 50_258, 50_359, 50_361, 50_362, 50_363, 50_364)  # fmt: skip
LANGUAGE: Final = {"en": 50_259, "de": 50_261}
TIMES: Final = POSITIONS + 1
"""Timestamps: 0 to 30 s in steps of 20 ms."""

MARKS: Final = ".,?"
PIECE: Final = re.compile(r" ?[^\W\d_]+| ?[^\s\w]+")
"""What is never merged across: GPT-2's rule for words and marks, which is all there is here."""


@dataclass(frozen=True, slots=True)
class Front:
    """What a ggml file has between its header and its tensors; the same in every multilingual Whisper.

    `filters`: float32, shape (80, 201), mel bands by frequencies. `tokens`: the bytes of each text token.
    """

    filters: NDArray[np.float32]
    tokens: tuple[bytes, ...]


def front(path: Path) -> Front:
    """Read it from any multilingual ggml file with 80 mel bands (the format: `models.ggml`)."""
    with path.open("rb") as file:
        file.seek(struct.calcsize("<12i"))
        bands, bins = struct.unpack("<2i", file.read(8))
        if bins != FFT_BINS:
            raise ValueError(f"{path} has mel filters of {bins} frequencies, not {FFT_BINS}")
        filters = np.frombuffer(file.read(4 * bands * bins), np.float32).reshape(bands, bins)
        (count,) = struct.unpack("<i", file.read(4))
        tokens = tuple(file.read(*struct.unpack("<I", file.read(4))) for _ in range(count))
    return Front(filters, tokens)


class Vocabulary:
    """Text to tokens, tokens to rows."""

    def __init__(self, tokens: Sequence[bytes], grammars: Iterable[Grammar]) -> None:
        self._rank: Mapping[bytes, int] = {token: rank for rank, token in enumerate(tokens)}
        self._known: dict[str, tuple[int, ...]] = {}
        used = {END, START, TRANSCRIBE, PREVIOUS, NO_SPEECH, NO_TIMESTAMPS, *LANGUAGE.values()}
        for grammar in grammars:
            for word in grammar.words:
                for text in (word, word[0].upper() + word[1:]):
                    used.update(self.encode(f" {text}"))
        used.update(token for mark in MARKS for token in self.encode(mark))
        used.update(range(FIRST_TIME, FIRST_TIME + TIMES))
        self.ids: tuple[int, ...] = tuple(sorted(used))
        """Whisper's numbers of the tokens in use, by row; the timestamps come last."""
        self.row: Mapping[int, int] = {token: row for row, token in enumerate(self.ids)}

    @property
    def rows(self) -> int:
        """Rows of the embedding: the tokens in use, and the one that stands for the rest."""
        return len(self.ids) + 1

    @property
    def rest_bias(self) -> float:
        """What the logit of the last row is raised by: the logarithm of how many tokens it stands for."""
        return math.log(SIZE - len(self.ids))

    def encode(self, text: str) -> list[int]:
        """Split text into tokens as GPT-2 does: the pairs of lowest rank are joined first."""
        return [token for piece in PIECE.findall(text) for token in self._encode_piece(piece)]

    def _encode_piece(self, piece: str) -> tuple[int, ...]:
        if piece not in self._known:
            parts = [bytes([byte]) for byte in piece.encode()]
            while len(parts) > 1:
                ranks = [self._rank.get(a + b, SIZE) for a, b in pairwise(parts)]
                best = min(ranks)
                if best == SIZE:
                    break
                at = ranks.index(best)
                parts[at : at + 2] = [parts[at] + parts[at + 1]]
            self._known[piece] = tuple(self._rank[part] for part in parts)
        return self._known[piece]


def unfold(rows: NDArray[np.float32], ids: Sequence[int]) -> NDArray[np.float32]:
    """The embedding of all tokens, shape (51865, width), from the rows of those in use and, last, of the rest."""
    full = np.repeat(rows[-1:], SIZE, axis=0)
    full[list(ids)] = rows[:-1]
    return full

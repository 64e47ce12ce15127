"""The network with what only training needs: the spelling head, timestamps tied to positions, and the losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.training.lesson import LETTERS, UNASKED
from models.training.network import Decoder, Encoder, Size, sinusoids
from models.training.spectrum import log_mel
from models.training.vocabulary import TIMES

if TYPE_CHECKING:
    from models.training.batch import Batch

SMOOTHING: Final = 0.02
"""Share of a target's weight that is spread over all rows."""

Heads: TypeAlias = tuple[tuple[int, int], ...]

AT_FIRST: Final[tuple[Heads, Heads]] = (((2, 0), (3, 0), (3, 1)), ((1, 0),))
"""(layer, head) of cross-attention that must look at what comes next, and those that must look at the token just read.

Looking ahead in the top layer makes it hear early on.
"""

RECALLING: Final[tuple[Heads, Heads]] = (((2, 0),), ((0, 0), (1, 0), (3, 0), (3, 1)))
"""Those of later on. whisper.cpp gives a token the time at which DTW's path enters the row that reads it, and its
heads are all of the top layer."""


@dataclass(frozen=True, slots=True)
class Losses:
    """`words`: cross-entropy of the tokens. `spelling`: CTC per letter. `attention`: of the guided heads."""

    words: Tensor
    spelling: Tensor
    attention: Tensor


class Student(nn.Module):
    """What is trained."""

    filters: Tensor
    clock: Tensor
    bias: Tensor

    def __init__(self, size: Size, filters: Tensor, rest_bias: float) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(size), Decoder(size)
        self.spelling = nn.Linear(size.width, len(LETTERS) + 1)
        self.time = nn.Linear(size.width, size.width, bias=False)
        nn.init.normal_(self.time.weight, std=0.02)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("clock", sinusoids(TIMES, size.width), persistent=False)
        bias = torch.zeros(size.rows)
        bias[-1] = rest_bias
        self.register_buffer("bias", bias, persistent=False)

    def embedding(self) -> Tensor:
        """The rows' embedding (rows, width), float32.

        A timestamp is its own row plus a linear function of the encoder's embedding of the position at that time:
        so all timestamps are learned from any.
        """
        rows = self.decoder.token_embedding.weight
        times = rows[-TIMES - 1 : -1] + self.time(self.clock)
        return torch.cat([rows[: -TIMES - 1], times, rows[-1:]])

    def forward(self, batch: Batch) -> Losses:
        """The losses of a batch."""
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            mel = log_mel(batch.sound, batch.timbre.bank(self.filters))
        sound = self.encoder(mel)
        embedding = self.embedding()
        following, recalling = RECALLING if batch.recalling else AT_FIRST
        hidden, guides = self.decoder(embedding, batch.tokens, sound, (*following, *recalling))
        asked = batch.targets != UNASKED
        logits = (hidden[asked] @ embedding.T).float() + self.bias
        words = functional.cross_entropy(logits, batch.targets[asked], label_smoothing=SMOOTHING)
        attention = sum(_off(guides[head], batch.heard) for head in following)
        attention = attention + sum(_off(guides[head], batch.spoken) for head in recalling)
        return Losses(words, self._spelling(sound, batch), attention / len(guides))

    def _spelling(self, sound: Tensor, batch: Batch) -> Tensor:
        chances = functional.log_softmax(self.spelling(sound).float(), -1).transpose(0, 1)
        given = torch.full_like(batch.lengths, sound.shape[1])
        each = functional.ctc_loss(chances, batch.letters, given, batch.lengths, reduction="none", zero_infinity=True)
        return each.sum() / batch.lengths.sum().clamp(min=1)


def _off(weights: Tensor, spans: Tensor) -> Tensor:
    """Cross-entropy of attention against an even look at each token's span, less what no attention can go below.

    `weights`: logarithms (windows, tokens, positions); `spans`: (windows, tokens, 2), empty where nothing is asked.
    """
    first, end = spans[..., 0], spans[..., 1]
    length = (end - first).clamp(min=1)
    total = functional.pad(weights.cumsum(-1), (1, 0))
    inside = total.gather(-1, end[..., None]) - total.gather(-1, first[..., None])
    each = -inside[..., 0] / length - length.log()
    asked = end > first
    return (each * asked).sum() / asked.sum().clamp(min=1)

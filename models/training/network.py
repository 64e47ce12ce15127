"""The Whisper network of Radford et al. 2022 in PyTorch, at any width, with what training needs besides its output.

Tensors have the names that whisper.cpp expects in a ggml file, save those of `heads.Heads`. Rows of the embedding
stand for the tokens in use (`vocabulary.Vocabulary`), not for all of Whisper's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architecture import HEAD, POSITIONS, TEXT_CONTEXT

Guides: TypeAlias = dict[tuple[int, int], Tensor]
"""Logarithms of attention weights by (layer, head): float32, shape (windows, tokens, positions)."""

MEL_BANDS: Final = 80
WAVELENGTHS: Final = 10_000
"""Ratio of the longest to the shortest wavelength of the position embedding."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a network is made of; `rows`: tokens in use, those that stand for the rest included."""

    width: int
    encoder_layers: int
    decoder_layers: int
    rows: int


class Attention(nn.Module):
    """Multi-head attention; keys have no bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // HEAD
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, HEAD).transpose(1, 2)

    def forward(self, x: Tensor, source: Tensor, *, causal: bool = False) -> Tensor:
        """Attend from `x` (batch, n, width) to `source` (batch, m, width)."""
        query, key, value = self._split(self.query(x)), self._split(self.key(source)), self._split(self.value(source))
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(x.shape))
        return out

    def guided(self, x: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and the logarithms of the weights (batch, heads, n, m)."""
        query, key, value = self._split(self.query(x)), self._split(self.key(source)), self._split(self.value(source))
        weights = functional.log_softmax((query @ key.transpose(2, 3)).float() * HEAD**-0.5, dim=-1)
        mixed = weights.exp().to(value.dtype) @ value
        return self.out(mixed.transpose(1, 2).reshape(x.shape)), weights


class Layer(nn.Module):
    """One residual layer; `cross` adds attention to the encoder's output."""

    def __init__(self, width: int, *, cross: bool) -> None:
        super().__init__()
        self.attn, self.attn_ln = Attention(width), nn.LayerNorm(width)
        if cross:
            self.cross_attn, self.cross_attn_ln = Attention(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.mlp_ln = nn.LayerNorm(width)

    def encode(self, x: Tensor) -> Tensor:
        """(batch, positions, width) to the same."""
        y = self.attn_ln(x)
        x = x + self.attn(y, y)
        out: Tensor = x + self.mlp(self.mlp_ln(x))
        return out

    def decode(self, x: Tensor, sound: Tensor, *, guided: bool) -> tuple[Tensor, Tensor | None]:
        """(batch, tokens, width) to the same, and the cross-attention's log weights if they are asked for."""
        y = self.attn_ln(x)
        x = x + self.attn(y, y, causal=True)
        y, weights = self.cross_attn_ln(x), None
        if guided:
            heard, weights = self.cross_attn.guided(y, sound)
        else:
            heard = self.cross_attn(y, sound)
        x = x + heard
        return x + self.mlp(self.mlp_ln(x)), weights


def sinusoids(length: int, width: int) -> Tensor:
    """Position embedding of Vaswani et al. 2017, sines first: float32, shape (length, width)."""
    step = math.log(WAVELENGTHS) / (width // 2 - 1)
    angles = torch.arange(length)[:, None] * torch.exp(-step * torch.arange(width // 2))[None]
    return torch.cat([angles.sin(), angles.cos()], 1)


class Encoder(nn.Module):
    """Log-mel frames to one vector for every 20 ms."""

    positional_embedding: Tensor

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(MEL_BANDS, size.width, 3, padding=1)
        self.conv2 = nn.Conv1d(size.width, size.width, 3, stride=2, padding=1)
        self.register_buffer("positional_embedding", sinusoids(POSITIONS, size.width))
        self.blocks = nn.ModuleList(Layer(size.width, cross=False) for _ in range(size.encoder_layers))
        self.ln_post = nn.LayerNorm(size.width)

    def forward(self, mel: Tensor) -> Tensor:
        """(batch, 80, frames) to (batch, frames / 2, width)."""
        x = functional.gelu(self.conv1(mel))
        x = functional.gelu(self.conv2(x)).transpose(1, 2)
        x = x + self.positional_embedding[: x.shape[1]]
        for block in self.blocks:
            x = block.encode(x)
        out: Tensor = self.ln_post(x)
        return out


class Decoder(nn.Module):
    """Tokens and the encoder's output to the last hidden state, which the embedding turns into logits."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(size.rows, size.width)
        self.positional_embedding = nn.Parameter(torch.randn(TEXT_CONTEXT, size.width) * 0.01)
        self.blocks = nn.ModuleList(Layer(size.width, cross=True) for _ in range(size.decoder_layers))
        self.ln = nn.LayerNorm(size.width)
        nn.init.normal_(self.token_embedding.weight, std=0.02)

    def forward(
        self, embedding: Tensor, tokens: Tensor, sound: Tensor, heads: tuple[tuple[int, int], ...]
    ) -> tuple[Tensor, Guides]:
        """Hidden states (batch, tokens, width), and the log weights of the named cross-attention heads.

        `embedding`: (rows, width); `tokens`: int64 rows, (batch, n); `sound`: (batch, positions, width).
        """
        x = functional.embedding(tokens, embedding) + self.positional_embedding[: tokens.shape[1]]
        guides: Guides = {}
        for number, block in enumerate(self.blocks):
            wanted = [head for layer, head in heads if layer == number]
            x, weights = block.decode(x, sound, guided=bool(wanted))
            for head in wanted:
                guides[number, head] = weights[:, head]
        return self.ln(x), guides

"""What a Whisper model is made of: the numbers of its header, and the tensors that follow from them.

Source: whisper.cpp 1.8.5, `whisper_model_load`. The bounds are those of OpenAI's own models (tiny to large-v3-turbo);
within them any width and number of layers is taken. Outside of them whisper.cpp reads beyond its buffers or stops the
process, so a file is held against this table before it gets near native code.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

HEAD: Final = 64
"""Width of one attention head."""

POSITIONS: Final = 1500
"""Encoder positions of a full window of 30 s."""

TEXT_CONTEXT: Final = 448
"""Tokens that the decoder can look back on."""

FFT_BINS: Final = 201
"""Frequencies of the spectrum that the mel filters sum up: a transform of 400 samples."""

MAX_HEADS: Final = 20
MAX_LAYERS: Final = 32
"""Of large, the largest."""

ENGLISH_VOCABULARY: Final = 51_864
VOCABULARIES: Final = {
    ENGLISH_VOCABULARY: "English only",
    51_865: "multilingual",
    51_866: "multilingual since large-v3",
}
MEL_BANDS: Final = (80, 128)

QUANTISATION_VERSION: Final = 2
"""ggml's layout of quantised blocks since May 2023; earlier ones have the same sizes and other contents."""


class Kind(IntEnum):
    """How the numbers of a tensor are stored, by ggml's number for it (`enum ggml_type`)."""

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q4_1 = 3
    Q5_0 = 6
    Q5_1 = 7
    Q8_0 = 8

    @property
    def block(self) -> tuple[int, int]:
        """Numbers in a block, and bytes that it takes."""
        return _BLOCKS[self]

    @property
    def quantised(self) -> bool:
        """Whether several numbers share a scale."""
        return self not in {Kind.F32, Kind.F16}


_BLOCKS: Final = {
    Kind.F32: (1, 4),
    Kind.F16: (1, 2),
    Kind.Q4_0: (32, 18),
    Kind.Q4_1: (32, 20),
    Kind.Q5_0: (32, 22),
    Kind.Q5_1: (32, 24),
    Kind.Q8_0: (32, 34),
}

FILE_TYPES: Final = {
    0: Kind.F32,
    1: Kind.F16,
    2: Kind.Q4_0,
    3: Kind.Q4_1,
    7: Kind.Q8_0,
    8: Kind.Q5_0,
    9: Kind.Q5_1,
}
"""What most tensors of a file are stored as, by the header's `ftype` modulo 1000 (`enum ggml_ftype`)."""


@dataclass(frozen=True, slots=True)
class Header:
    """The numbers at the head of a model file, in its order. `flaw` says whether they make a Whisper model."""

    n_vocab: int
    n_audio_ctx: int
    n_audio_state: int
    n_audio_head: int
    n_audio_layer: int
    n_text_ctx: int
    n_text_state: int
    n_text_head: int
    n_text_layer: int
    n_mels: int
    ftype: int

    @property
    def multilingual(self) -> bool:
        """Whether the model knows languages other than English."""
        return self.n_vocab > ENGLISH_VOCABULARY

    @property
    def kind(self) -> Kind:
        """How its matrices are stored. Only of a header without a flaw."""
        return FILE_TYPES[self.ftype % 1000]

    def flaw(self) -> str | None:
        """What is wrong with these numbers, or None if they are those of a Whisper model."""
        version, file_type = divmod(self.ftype, 1000)
        if file_type not in FILE_TYPES:
            return f"it is of a type ({self.ftype}) other than f32, f16, q4_0, q4_1, q5_0, q5_1 and q8_0"
        if version != (QUANTISATION_VERSION if FILE_TYPES[file_type].quantised else 0):
            return f"it is quantised in an outdated format (version {version})"
        fits = {
            "n_vocab": self.n_vocab in VOCABULARIES,
            "n_audio_ctx": self.n_audio_ctx == POSITIONS,
            "n_audio_head": 1 <= self.n_audio_head <= MAX_HEADS,
            "n_audio_state": self.n_audio_state == HEAD * self.n_audio_head,
            "n_audio_layer": 1 <= self.n_audio_layer <= MAX_LAYERS,
            "n_text_ctx": self.n_text_ctx == TEXT_CONTEXT,
            "n_text_head": self.n_text_head == self.n_audio_head,
            "n_text_state": self.n_text_state == self.n_audio_state,
            "n_text_layer": 1 <= self.n_text_layer <= MAX_LAYERS,
            "n_mels": self.n_mels in MEL_BANDS,
        }
        wrong = [f"{name} {getattr(self, name)}" for name, right in fits.items() if not right]
        return f"its header is not that of a Whisper model ({', '.join(wrong)})" if wrong else None


@dataclass(frozen=True, slots=True)
class Form:
    """What a tensor must be: its extents, the quickest first as the file has them, and how it is stored."""

    extents: tuple[int, ...]
    kind: Kind

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        count = 1
        for extent in self.extents:
            count *= extent
        return count

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        per_block, block_bytes = self.kind.block
        return self.numbers // per_block * block_bytes


def tensors(header: Header) -> dict[str, Form]:
    """Tell the tensors, by name, that a file with this header has, no more and no less. The header has no flaw."""
    width, matrices = header.n_audio_state, header.kind
    convolutions = Kind.F32 if matrices is Kind.F32 else Kind.F16
    forms = {
        "encoder.positional_embedding": Form((width, header.n_audio_ctx), Kind.F32),
        "encoder.conv1.weight": Form((3, header.n_mels, width), convolutions),
        "encoder.conv1.bias": Form((1, width), Kind.F32),
        "encoder.conv2.weight": Form((3, width, width), convolutions),
        "encoder.conv2.bias": Form((1, width), Kind.F32),
        **_norm("encoder.ln_post", width),
        "decoder.positional_embedding": Form((width, header.n_text_ctx), Kind.F32),
        "decoder.token_embedding.weight": Form((width, header.n_vocab), matrices),
        **_norm("decoder.ln", width),
    }
    for layer in range(header.n_audio_layer):
        forms |= _layer(f"encoder.blocks.{layer}", ("attn",), width, matrices)
    for layer in range(header.n_text_layer):
        forms |= _layer(f"decoder.blocks.{layer}", ("attn", "cross_attn"), width, matrices)
    return forms


def _layer(name: str, attentions: tuple[str, ...], width: int, kind: Kind) -> dict[str, Form]:
    forms = {
        **_norm(f"{name}.mlp_ln", width),
        **_linear(f"{name}.mlp.0", width, 4 * width, kind),
        **_linear(f"{name}.mlp.2", 4 * width, width, kind),
    }
    for attention in attentions:
        forms |= _norm(f"{name}.{attention}_ln", width)
        for part in ("query", "key", "value", "out"):
            forms |= _linear(f"{name}.{attention}.{part}", width, width, kind)
        del forms[f"{name}.{attention}.key.bias"]  # Whisper's keys have none
    return forms


def _norm(name: str, width: int) -> dict[str, Form]:
    return {f"{name}.weight": Form((width,), Kind.F32), f"{name}.bias": Form((width,), Kind.F32)}


def _linear(name: str, inputs: int, outputs: int, kind: Kind) -> dict[str, Form]:
    return {f"{name}.weight": Form((inputs, outputs), kind), f"{name}.bias": Form((outputs,), Kind.F32)}

"""A checkpoint as a ggml file that whisper.cpp loads as any other Whisper."""

from __future__ import annotations

import shutil
import struct
from dataclasses import astuple
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from models.architecture import HEAD, POSITIONS, TEXT_CONTEXT, Header, Kind, tensors
from models.ggml import MAGIC, check
from models.training.grammar import LANGUAGES, load
from models.training.network import MEL_BANDS, Size
from models.training.student import Student
from models.training.training import averaged
from models.training.vocabulary import END, SIZE, Front, Vocabulary, front, unfold

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from models.training.recipe import Recipe

F16: Final = 1
"""The header's number for files whose matrices are in half precision."""

LINE_BREAK: Final = b"\n"
SECOND: Final = np.float32(0.7)
"""whisper.cpp forbids the end as a window's first token (`suppress_blank`), and would take the next best, a word, where
nobody speaks. So a line break, which has no text, gets the end's direction and this part of its length in the
embedding: wherever the end is likely, it is the second."""


def export(checkpoint: Path, target: Path, recipe: Recipe, base: Path) -> Header:
    """Write the averaged weights of a checkpoint to `target`, and check the file. `base`: see `training.train`."""
    head = front(base)
    vocabulary = Vocabulary(head.tokens, [load(language) for language in LANGUAGES])
    size = Size(recipe.width, recipe.layers, recipe.layers, vocabulary.rows)
    student = Student(size, torch.from_numpy(head.filters.copy()), vocabulary.rest_bias)
    averaged(checkpoint, student)
    weights = {name: value.numpy() for name, value in student.state_dict().items()}
    embedding = unfold(student.embedding().detach().numpy(), vocabulary.ids)
    embedding[head.tokens.index(LINE_BREAK)] = embedding[END] * SECOND
    weights["decoder.token_embedding.weight"] = embedding
    header = Header(
        n_vocab=SIZE,
        n_audio_ctx=POSITIONS,
        n_audio_state=size.width,
        n_audio_head=size.width // HEAD,
        n_audio_layer=size.encoder_layers,
        n_text_ctx=TEXT_CONTEXT,
        n_text_state=size.width,
        n_text_head=size.width // HEAD,
        n_text_layer=size.decoder_layers,
        n_mels=MEL_BANDS,
        ftype=F16,
    )
    partial = target.with_name(f"{target.name}.partial")
    write(partial, header, head, weights)
    check(partial)
    shutil.move(partial, target)
    return header


def write(path: Path, header: Header, head: Front, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Write a ggml file. `weights` must hold every tensor that the header asks for; others are left out."""
    with path.open("wb") as file:
        file.write(struct.pack("<12i", MAGIC, *astuple(header)))
        file.write(struct.pack("<2i", *head.filters.shape) + head.filters.tobytes())
        file.write(struct.pack("<i", len(head.tokens)))
        for token in head.tokens:
            file.write(struct.pack("<I", len(token)) + token)
        for name, form in tensors(header).items():
            dtype = np.float32 if form.kind is Kind.F32 else np.float16
            encoded = name.encode()
            file.write(struct.pack("<3i", len(form.extents), len(encoded), form.kind))
            file.write(struct.pack(f"<{len(form.extents)}i", *form.extents) + encoded)
            file.write(np.ascontiguousarray(weights[name].reshape(form.extents[::-1]), dtype).tobytes())

"""A model to pull: an entry as the catalog has them, and the bytes that it stands for."""

from __future__ import annotations

import hashlib
import random
from typing import Final

from models.catalog import Entry

CONTENT: Final = random.Random(0).randbytes(1_500_000)
SIZE: Final = len(CONTENT)


def entry(content: bytes) -> Entry:
    """Nothing answers at its own address; a mirror must be given."""
    return Entry(
        name="trial",
        file="ggml-trial.bin",
        url="https://127.0.0.1:1/ggml-trial.bin",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        languages="en",
        quantisation="f16",
        licence="MIT",
        audio_ctx_floor=0,
        advice="for tests",
    )


ENTRY: Final = entry(CONTENT)

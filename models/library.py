"""From what a user calls a model to a file that has been checked."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from engine.errors import ModelError
from models.ggml import Header, check

BUNDLED: Final = "trioscribe-en-de"

STOCK_FLOOR: Final = 768
"""Smallest encoder context for OpenAI's weights, trained on 30 s windows only; whisper.cpp's streaming demos use it."""

ACFT_FLOOR: Final = 160
"""For FUTO's ACFT weights, fine-tuned on short windows of 3.18 s and more."""

TURBO_FLOOR: Final = 1500
"""large-v3-turbo does not bear shortening at all."""


@dataclass(frozen=True, slots=True)
class Model:
    """A checked model file.

    `audio_ctx_floor`: smallest encoder context (50 a second of audio) that it works with. `carry_prompt`: whether it
    gains from being told what was said before; the bundled model was hardly trained on prompts and loses by it.
    """

    name: str
    path: Path
    header: Header
    audio_ctx_floor: int
    carry_prompt: bool
    demonstration: bool


def find(name_or_path: str) -> Model:
    """The bundled model by its name, any other by the path of its ggml file.

    Raises `ModelError` if there is none, or it is not sound.
    """
    if name_or_path == BUNDLED:
        path = Path(str(files("models"))) / f"ggml-{BUNDLED}.bin"
        return Model(BUNDLED, path, check(path), 0, carry_prompt=False, demonstration=True)
    path = Path(name_or_path).expanduser()
    if not path.exists() and path.name == name_or_path:
        raise ModelError(f"There is no model {name_or_path!r}: give the path of a ggml file, or {BUNDLED!r}.")
    name = path.stem.removeprefix("ggml-")
    if name.startswith(BUNDLED):  # made of the bundled one by models.widen, with its virtues and its failings
        return Model(name, path, check(path), 0, carry_prompt=False, demonstration=True)
    return Model(name, path, check(path), floor_for(path.name), carry_prompt=True, demonstration=False)


def floor_for(file_name: str) -> int:
    """The encoder context floor for a file that says nothing of itself but its name."""
    name = file_name.casefold()
    if "acft" in name:
        return ACFT_FLOOR
    return TURBO_FLOOR if "turbo" in name else STOCK_FLOOR

"""From what a user calls a model to a file that has been checked."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.errors import ModelError
from models.catalog import catalog, entry
from models.folder import default_folder, is_there, verify
from models.ggml import check

if TYPE_CHECKING:
    from models.architecture import Header

BUNDLED: Final = "trioscribe-en-de"

REAL_ONE: Final = "base-q8_0"
"""The model that people are told to begin with: multilingual, 78 MiB."""

DEMONSTRATION: Final = (
    "a demonstration model that understands synthetic voices only; "
    f"for people, `trioscribe models pull {REAL_ONE}` and then `trioscribe serve --model {REAL_ONE}`"
)
"""What is said of the bundled model wherever a user sees it."""

TURBO_LAYERS: Final = (32, 4)
"""Encoder and decoder layers of large-v3-turbo."""


OWN: Final = 0
"""Least context of the encoder, in positions of 20 ms, for the bundled model: trained on windows of every length."""

STOCK: Final = 768
"""For OpenAI's weights, trained on 30 s windows only; whisper.cpp's streaming demos use this floor.

This and the next two are from published reports (docs/models.md has them), not measured by this project.
"""

ACFT: Final = 160
"""For FUTO's weights, fine-tuned on short windows of 3.18 s and more."""

TURBO: Final = 1500
"""large-v3-turbo does not bear shortening at all."""


@dataclass(frozen=True, slots=True)
class Model:
    """A checked model file.

    `audio_ctx_floor`: the least that its encoder must see, in positions of 20 ms. `carry_prompt`: whether it gains
    from being told what was said before; the bundled model was hardly trained on prompts and loses by it.
    """

    name: str
    path: Path
    header: Header
    audio_ctx_floor: int
    carry_prompt: bool
    demonstration: bool


def find(name_or_path: str, folder: Path | None = None) -> Model:
    """Find the bundled model or a pulled one by name, any other by the path of its ggml file; and check it whole.

    `folder`: where pulled models are; the default folder if None. A file with the name of a published one must be
    that one, to the last bit. Raises `ModelError` if there is none, or it is not sound.
    """
    if name_or_path == BUNDLED:
        path = Path(str(files("models"))) / f"ggml-{BUNDLED}.bin"
        return Model(BUNDLED, path, check(path), OWN, carry_prompt=False, demonstration=True)
    try:
        path = Path(name_or_path).expanduser()
    except RuntimeError as error:
        raise ModelError(f"There is no model file {name_or_path}: nobody has that home directory.") from error
    published = {each.name: each for each in catalog()}.get(name_or_path)
    if published:
        path = (folder or default_folder()) / published.file
        if not is_there(path):
            raise ModelError(
                f"Model {published.name} is not in {path.parent}: "
                f"get it with `trioscribe models pull {published.name}`."
            )
    elif path.name == name_or_path and path.suffix != ".bin" and not is_there(path):
        entry(name_or_path)
    else:
        published = next((each for each in catalog() if each.file == path.name), None)
    if published:
        floor, header = published.audio_ctx_floor, verify(published, path)
        return Model(published.name, path, header, floor, carry_prompt=True, demonstration=False)
    header, name = check(path), path.stem.removeprefix("ggml-")
    if name.startswith(BUNDLED):  # made of the bundled one by models.widen, with its virtues and its failings
        return Model(name, path, header, OWN, carry_prompt=False, demonstration=True)
    return Model(name, path, header, floor_of(path.name, header), carry_prompt=True, demonstration=False)


def floor_of(file_name: str, header: Header) -> int:
    """Judge a file of which nothing is known but its name and header."""
    name = file_name.casefold()
    if "acft" in name:
        return ACFT
    if "turbo" in name or (header.n_audio_layer, header.n_text_layer) == TURBO_LAYERS:
        return TURBO
    return STOCK

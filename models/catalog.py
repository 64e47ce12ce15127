"""The models that can be had: `catalog.toml`, read and checked."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from engine.errors import ModelError

PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
"""Names that stay in their folder: no separators, no leading dot."""

SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A published model; `catalog.toml` says what each field means. Raises `ValueError` if built with nonsense."""

    name: str
    file: str
    url: str
    bytes: int
    sha256: str
    languages: str
    quantisation: str
    licence: str
    audio_ctx_floor: int
    advice: str
    unconfirmed: bool = False

    def __post_init__(self) -> None:
        if not PLAIN_NAME.fullmatch(self.name) or not PLAIN_NAME.fullmatch(self.file):
            raise ValueError(f"{self.name!r} or {self.file!r} is no plain name")
        if not self.url.startswith("https://"):
            raise ValueError(f"{self.url!r} is not an https address")
        if self.bytes <= 0 or not SHA256.fullmatch(self.sha256):
            raise ValueError(f"{self.name} has no size or no SHA-256")


def catalog() -> tuple[Entry, ...]:
    """Read the catalog that comes along."""
    parsed: dict[str, list[dict[str, Any]]] = tomllib.loads((files("models") / "catalog.toml").read_text("utf-8"))
    return tuple(Entry(**entry) for entry in parsed["model"])


def entry(name: str) -> Entry:
    """Find a published model by its name. Raises `ModelError`, with names that are close, if there is none."""
    entries = {each.name: each for each in catalog()}
    if name in entries:
        return entries[name]
    close = difflib.get_close_matches(name, entries, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "`trioscribe models list` shows what there is."
    raise ModelError(f"There is no model {name!r}; {hint}")

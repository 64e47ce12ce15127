"""`trioscribe quantize`: a smaller copy of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.library import find
from models.quantize import quantize

if TYPE_CHECKING:
    from pathlib import Path

    from server.settings.table import Settings


def run(source: str, target: Path, name: str, settings: Settings) -> None:
    """Quantise a model, by name or path, and say what came of it. Raises `ModelError`."""
    model = find(source, settings.models_dir)
    quantize(model.path, target, name)
    before, after = model.path.stat().st_size, target.stat().st_size
    print(f"{target}: {after / 2**20:.1f} MiB, {after / before:.0%} of {before / 2**20:.1f} MiB")  # noqa: T201 - its output

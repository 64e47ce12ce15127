"""Train the bundled model anew, from nothing, and write it as a ggml file. An ended run goes on where it was."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from models.library import BUNDLED, find
from models.training.export import export
from models.training.recipe import Recipe
from models.training.training import train


def main() -> None:
    """Run from the command line; prints where the model lies."""
    parser = argparse.ArgumentParser(prog="python -m models.training", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".train"), help="for corpus, log, checkpoints and model")
    parser.add_argument("--steps", type=int, default=Recipe().steps, help="how long (default: %(default)s)")
    arguments = parser.parse_args()
    recipe, base = replace(Recipe(), steps=arguments.steps), find(BUNDLED).path
    checkpoint = train(recipe, arguments.folder, base)
    target = arguments.folder / base.name
    export(checkpoint, target, recipe, base)
    print(target)


if __name__ == "__main__":
    main()

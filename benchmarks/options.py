"""The options that all benchmarks share, and what they mean for the server that is started."""

from __future__ import annotations

import argparse
import shlex
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import results
from benchmarks.subject import Subject, SubjectError, running
from engine.errors import ModelError
from engine.whisper import TILED, features
from models.library import BUNDLED, find
from models.widen import SHAPES, cached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


INTERRUPTED: Final = 130
"""128 + SIGINT, as shells have it."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured, where the results go, and how the run is called."""

    module: str
    model: str
    floor: int
    url: str | None
    language: str | None
    serve: tuple[str, ...]
    folder: Path

    @property
    def model_path(self) -> Path:
        """The model's file; cost models are made when there is none yet. Raises `ModelError`."""
        return cached(self.model) if self.model in SHAPES else find(self.model).path

    @property
    def audio_ctx_floor(self) -> int:
        """The smallest encoder context in use: 50 a second of audio."""
        return self.floor if self.floor >= 0 else find(str(self.model_path)).audio_ctx_floor

    @property
    def label(self) -> str:
        """Model, floor, and whether whisper.cpp was built for this host, as part of a file's name."""
        name = Path(self.model).stem.removeprefix("ggml-") if self.url is None else "url"
        floor = f"-floor{self.floor}" if self.floor >= 0 else ""
        return f"{name}{floor}{'-native' if TILED in features() else ''}"

    def options(self) -> list[str]:
        """For `trioscribe serve`, which is to take all streams that a benchmark begins, be they too many for it."""
        floor = ["--audio-ctx-floor", str(self.floor)] if self.floor >= 0 else []
        return ["--log-level", "warning", "--admission", "open", *floor, *self.serve]

    @contextmanager
    def subject(self, *, metered: bool = False) -> Iterator[Subject]:
        """The server: the one at `--url`, or one that runs until the block ends. Raises `SubjectError`."""
        if self.url is not None:
            yield Subject(self.url)
            return
        model = BUNDLED if self.model == BUNDLED else self.model_path
        with running(model=model, options=self.options(), metered=metered) as subject:
            yield subject

    def result(self, name: str, figures: Mapping[str, object], samples: Mapping[str, object]) -> results.Result:
        """An outcome of this run, called `name` and the model's label."""
        model: dict[str, object] = (
            {"server": self.url}
            if self.url
            else {"name": self.model, "audio_ctx_floor": self.audio_ctx_floor, "serve_options": self.options()}
        )
        return results.Result(f"{name}-{self.label}", results.command(self.module), model, figures, samples)


def parser(module: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks share; `run` reads them."""
    made = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    made.set_defaults(module=module)
    shared = made.add_argument_group("server")
    shared.add_argument(
        "--model",
        default=BUNDLED,
        metavar="NAME|FILE",
        help=f"model to serve: {BUNDLED}, {', '.join(SHAPES)} (same words, cost of OpenAI's), or a file",
    )
    shared.add_argument(
        "--audio-ctx-floor",
        type=int,
        default=-1,
        metavar="N",
        help="smallest encoder context; 768 shows what OpenAI's own weights cost; -1 is what the model declares",
    )
    shared.add_argument("--url", metavar="URL", help="measure the server that listens there instead of starting one")
    shared.add_argument(
        "--language", metavar="CODE", help='say this in the config instead of the true one, e.g. "auto"'
    )
    shared.add_argument(
        "--serve", default="", metavar="OPTIONS", help="more options for `trioscribe serve`, in one string"
    )
    shared.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where JSON and plots go")
    return made


def run(options: argparse.ArgumentParser, measure: Callable[[Bench, argparse.Namespace], None]) -> int:
    """Read the command line and measure. What goes wrong is one line on standard error; returns the exit status."""
    arguments = options.parse_args()
    try:
        measure(_bench(arguments), arguments)
    except (SubjectError, ModelError) as error:
        print(f"{arguments.module}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _bench(arguments: argparse.Namespace) -> Bench:
    """What was asked for."""
    return Bench(
        arguments.module,
        arguments.model,
        arguments.audio_ctx_floor,
        arguments.url,
        arguments.language,
        tuple(shlex.split(arguments.serve)),
        arguments.results,
    )

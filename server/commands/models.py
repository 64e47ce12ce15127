"""`trioscribe models`: what is here, what can be had, and the way from one to the other."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from engine.errors import ModelError
from models.catalog import catalog, entry
from models.folder import is_there, part_of, remove, verify
from models.library import BUNDLED, DEMONSTRATION, find
from models.pull import alone, pull
from server.admission.measurement import measurements
from server.admission.rules import streams_held

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.catalog import Entry
    from server.settings.table import Settings

MIB = 1 << 20
WIDE = 200
"""Columns of a table that is not for a screen: every row is one line, for grep."""


def run(action: str, names: Sequence[str], settings: Settings) -> None:
    """Do one of `list`, `pull`, `verify`, `path` and `rm`. Raises `ModelError` with what went wrong."""
    folder = settings.models_dir
    match action:
        case "list":
            _list(folder, settings.data_dir)
        case "pull":
            for each in [entry(name) for name in names]:
                _pull(each, folder, settings.models_mirror)
        case "verify":
            _verify(names, folder)
        case "path":
            _say(str(_path(names[0], folder)))
        case "rm":
            for each in [entry(name) for name in names]:
                with alone(each, folder):
                    _say(f"{each.name} deleted: {remove(each, folder) / MIB:.1f} MiB are free")


def _list(folder: Path, data_dir: Path) -> None:
    screen = sys.stdout.isatty()
    console = Console(width=None if screen else WIDE, highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "here", "MiB", "languages", "streams", "licence", "advice"):
        table.add_column(heading, justify="right" if heading in {"MiB", "streams"} else "left")
    bundled = find(BUNDLED)
    size = f"{bundled.path.stat().st_size / MIB:.0f}"
    streams = _streams(data_dir)
    table.add_row(BUNDLED, "yes", size, "en, de", streams.get(BUNDLED, ""), "MIT", "demonstration only")
    entries = catalog()
    for each in entries:
        path = folder / each.file
        here = "yes" if is_there(path) else "partly" if is_there(part_of(path)) else ""
        held = streams.get(each.name, "")
        table.add_row(each.name, here, f"{each.bytes / MIB:.0f}", each.languages, held, each.licence, each.advice)
    console.print(table)
    console.print(f"\n{BUNDLED} is {DEMONSTRATION}.")
    console.print("Streams: what this host holds, as far as `trioscribe doctor --model NAME` has measured it.")
    console.print(f"Pulled models are in {folder}; --model also takes the path of any other ggml file.")
    if own := _own_files(folder):
        console.print(f"Also there, not from this list: {', '.join(own)}")
    console.print("Licences with a question mark are as third parties report them.")
    unconfirmed = ", ".join(each.name for each in entries if each.unconfirmed)
    console.print(f"The digests of {unconfirmed} are the publisher's own; no download is known to confirm them.")


def _streams(data_dir: Path) -> dict[str, str]:
    """How many streams this host holds, by model, as last measured."""
    oldest_first = reversed(measurements(data_dir))
    return {each.host.model: str(streams_held(each.cost, each.host.slots)) for each in oldest_first}


def _own_files(folder: Path) -> list[str]:
    published = {each.file for each in catalog()}
    return sorted(path.name for path in folder.glob("*.bin") if path.name not in published)


def _pull(each: Entry, folder: Path, mirror: str) -> None:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(each.name, total=each.bytes)
        path = pull(each, folder, mirror=mirror, report=lambda here: progress.update(task, completed=here))
    _say(f"{each.name} is here, whole and verified: {path}")


def _verify(names: Sequence[str], folder: Path) -> None:
    chosen = names or [BUNDLED, *(each.name for each in catalog() if is_there(folder / each.file))]
    wrong = 0
    for name in chosen:
        try:
            if name == BUNDLED:
                find(BUNDLED)
                _say(f"{BUNDLED}: sound ({DEMONSTRATION})")
            else:
                verify(entry(name), _path(name, folder))
                _say(f"{name}: whole, its SHA-256 is that of the published file")
        except ModelError as error:
            wrong += 1
            _say(f"{name}: {error}")
    if wrong:
        raise ModelError(f"{wrong} of {len(chosen)} models cannot be used as {'it is' if wrong == 1 else 'they are'}.")


def _path(name: str, folder: Path) -> Path:
    if name == BUNDLED:
        return find(BUNDLED).path
    path = folder / entry(name).file
    if not is_there(path):
        raise ModelError(f"Model {name} is not in {folder}: get it with `trioscribe models pull {name}`.")
    return path


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is the program's output

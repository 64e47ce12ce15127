"""Tells whether this host can do what it is set to do: the model, the disk, and how many streams it holds."""

from __future__ import annotations

import shutil
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Final

import trio

from engine.whisper import TILED, features, logging_to
from models.library import find
from server.admission.rules import CADENCE, UTILISATION, WINDOW_SECONDS, streams_held
from server.errors import StartupError
from server.recognition import bench, detectors, load_pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.admission.measurement import Measurement
    from server.settings.table import Settings

MIB: Final = 1024 * 1024


async def examine(settings: Settings) -> None:
    """Measure, print what was found, and keep it for the server. Raises `StartupError`, `EngineError`."""
    model = find(settings.model, settings.models_dir)
    # What whisper.cpp tells of itself is not what is asked for.
    with logging_to(lambda _text: None), closing(await load_pool(settings, model)) as pool:
        kit = bench(settings, model, pool, detectors())
        measurement = await kit.measure()
    try:
        await trio.Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
        await kit.keep(measurement)
        free = shutil.disk_usage(settings.data_dir).free
    except OSError as error:
        raise StartupError(
            f"{settings.data_dir} cannot be written: {error.strerror or error}. "
            "Make the directory writable for this user, or choose another data directory."
        ) from error
    sys.stdout.write("".join(f"{line}\n" for line in _report(settings, measurement, free)))


def _report(settings: Settings, found: Measurement, free: int) -> Iterator[str]:
    host = found.host
    yield f"processor   {host.processor or 'unknown'}, {host.cores} usable cores"
    yield f"whisper.cpp {' '.join(sorted(features()))}"
    if TILED not in features():
        yield "            `just native` builds one for this processor; an AMD EPYC was 1.6 times as fast with it"
    yield f"model       {host.model}, {host.slots} at a time"
    yield (
        f"inference   {found.window:.3f} s for {WINDOW_SECONDS} s of speech with all slots busy: "
        f"{host.slots * WINDOW_SECONDS / found.window:.0f} times as fast as speech"
    )
    yield f"detection   {found.loop * 1000:.1f} ms of the event loop for a second of speech"
    held = streams_held(found.cost, host.slots)
    yield f"streams     {held}, each decoded every {CADENCE:g} s, with {1 - UTILISATION:.0%} to spare"
    if settings.max_streams:
        yield f"            but max_streams is set to {settings.max_streams}"
    yield f"disk        {free // MIB} MiB free in {settings.data_dir}"
    if free <= settings.min_free_disk_mb * MIB:
        yield f"WARNING     nothing is recorded with less than {settings.min_free_disk_mb} MiB free (min_free_disk_mb)"
    if found.window > CADENCE * UTILISATION * host.slots:
        yield "WARNING     too slow for live captions: they will come late even for one stream; take a smaller model"

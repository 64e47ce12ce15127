"""An export on disk: one folder with `meta.json`, `audio.wav` and `finals.jsonl`; see `docs/exports.md`.

Synchronous throughout: whoever is on the event loop calls these in a worker thread.
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec.structs import replace

from server.exports.wav import BYTES_PER_SAMPLE, HEADER_BYTES, wav_header, wav_sample_rate
from server.protocol import StreamConfig, WireFinal

if TYPE_CHECKING:
    from pathlib import Path

META: Final = "meta.json"
AUDIO: Final = "audio.wav"
FINALS: Final = "finals.jsonl"
UNFINISHED: Final = "unfinished.json"

EndState = Literal["complete", "recovered", "interrupted"]
State = Literal["live", "complete", "recovered", "interrupted", "damaged"]

_logger = logging.getLogger(__name__)


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one stream's export; the content of its `meta.json`.

    `state` is "live" while the stream goes on, "complete" once it ended in good order, "interrupted" if it did not,
    "recovered" when what was missing then has been transcribed afterwards, and "damaged" if `meta.json` cannot be
    read (never stored: what the other files tell stands in). `duration` is in seconds; `words`, `finals` and
    `language` are settled when the stream ends. `owner` is the holder of the API key that the stream came with; an
    export without one is seen only where no keys are needed.
    """

    id: str
    state: State
    created: str
    sample_rate: int
    samples: int = 0
    duration: float = 0.0
    language: str | None = None
    words: int = 0
    finals: int = 0
    model: str = ""
    owner: str | None = None
    format: Literal[1] = 1


class Unfinished(msgspec.Struct, frozen=True):
    """What it takes to finish a stream without its client; in the folder until the export is whole.

    `config` is what the stream was set to, and `attempts` how often its recovery has been begun.
    """

    config: StreamConfig = StreamConfig()
    attempts: int = 0


def timestamp(moment: datetime) -> str:
    """Write a moment as ISO 8601 in UTC, of fixed width: sorting the strings sorts the moments."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def duration(samples: int, sample_rate: int) -> float:
    """Convert to seconds."""
    return round(samples / sample_rate, 6)


def write_meta(folder: Path, export: Export) -> None:
    """Put `export` into `meta.json`, durably."""
    replace_file(folder / META, msgspec.json.format(msgspec.json.encode(export)) + b"\n")


def replace_file(path: Path, content: bytes) -> None:
    """Give a file new content, durably: whenever the power fails, it has either the old one or the new, whole."""
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk: syncing a file does not cover its name."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_export(folder: Path) -> Export:
    """Tell what is known of the export in `folder`. Raises `OSError` if there is none, or nothing of use in it."""
    try:
        export = msgspec.json.decode((folder / META).read_bytes(), type=Export)
        if export.id != folder.name:
            raise msgspec.ValidationError(f"it belongs to {export.id}")
    except (FileNotFoundError, msgspec.DecodeError, UnicodeError) as error:
        if not folder.is_dir():
            raise FileNotFoundError(f"no export in {folder}") from error
        _logger.warning("Cannot use %s (%s); going by the other files.", folder / META, error)
        return replace(survey(folder), state="damaged")
    if export.state == "live":
        samples = _samples(folder)
        return replace(export, samples=samples, duration=duration(samples, export.sample_rate))
    return export


def read_unfinished(folder: Path) -> Unfinished:
    """Tell how the stream in `folder` was set; one that says nothing of use was set to nothing. Raises `OSError`."""
    try:
        return msgspec.json.decode((folder / UNFINISHED).read_bytes(), type=Unfinished)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeError):
        return Unfinished()


def read_finals(folder: Path) -> list[WireFinal]:
    """Read the finals in `folder`, in order. A line cut off by a crash is left out. Raises `OSError`."""
    finals = []
    for number, line in enumerate((folder / FINALS).read_bytes().splitlines(), 1):
        try:
            finals.append(msgspec.json.decode(line, type=WireFinal))
        except (msgspec.DecodeError, UnicodeError) as error:
            _logger.warning("Left out line %d of %s: %s", number, folder / FINALS, error)
    return finals


def survey(folder: Path, known: Export | None = None) -> Export:
    """Describe an interrupted export by its audio and finals, completed by what was `known` before.

    Raises `OSError` if there is no audio, and not even a sample rate is known.
    """
    with (folder / AUDIO).open("rb") as file:
        header = file.read(HEADER_BYTES)
        created = timestamp(datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC))
    sample_rate = known.sample_rate if known else wav_sample_rate(header)
    if sample_rate is None:
        raise OSError(f"neither {META} nor {AUDIO} in {folder} can be read")
    finals = read_finals(folder) if (folder / FINALS).exists() else []
    samples = _samples(folder)
    return Export(
        id=folder.name,
        state="interrupted",
        created=known.created if known else created,
        sample_rate=sample_rate,
        samples=samples,
        duration=duration(samples, sample_rate),
        language=known.language if known else None,
        words=sum(len(final.result) for final in finals),
        finals=len(finals),
        model=known.model if known else "",
        owner=known.owner if known else None,
    )


def repair(folder: Path) -> None:
    """Make whole an export that a crash left behind: a true WAV header, complete lines, state "interrupted".

    Does nothing to one that ended in good order. Raises `OSError` if the folder is beyond repair.
    """
    export = read_export(folder)
    if export.state in {"live", "damaged"}:
        export = mend(folder, None if export.state == "damaged" else export)
        _logger.warning(
            "Export %s was interrupted; %.1f s of audio and %d finals are kept.",
            export.id,
            export.duration,
            export.finals,
        )


def mend(folder: Path, known: Export | None) -> Export:
    """Give an unfinished export a true WAV header, complete lines and counts, and the state "interrupted".

    Whatever of it was `known` before is kept. Raises `OSError` if the folder is beyond repair.
    """
    for name in (AUDIO, FINALS):
        (folder / name).touch()
    export = survey(folder, known)
    with (folder / AUDIO).open("r+b") as file:
        file.write(wav_header(export.sample_rate, export.samples))
        file.truncate(HEADER_BYTES + export.samples * BYTES_PER_SAMPLE)
        os.fsync(file.fileno())
    lines = b"".join(msgspec.json.encode(final) + b"\n" for final in read_finals(folder))
    replace_file(folder / FINALS, lines)
    write_meta(folder, export)
    return export


def _samples(folder: Path) -> int:
    return max(0, (folder / AUDIO).stat().st_size - HEADER_BYTES) // BYTES_PER_SAMPLE

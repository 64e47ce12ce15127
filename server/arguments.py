"""What may stand on the command line. The flags of the settings are made from their table."""

from __future__ import annotations

import argparse
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from engine.types import SAMPLE_RATE
from server.protocol import StreamConfig
from server.settings.allowed import whole
from server.settings.table import CONFIG_VARIABLE, PREFIX, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.settings.allowed import Kind
    from server.settings.table import Row

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no public name

T = TypeVar("T")

DEFAULT_URL: Final = "ws://127.0.0.1:8394/"
RATES: Final = whole(4_000, 192_000)

PER_STREAM: Final = frozenset(StreamConfig.__struct_fields__)
"""Settings that a client may choose for its own stream."""

ABOUT: Final = "Live transcription on the CPU: audio in over a WebSocket, captions out while people speak."
ABOUT_SETTINGS: Final = f"""\
Every setting is a flag, an environment variable ({PREFIX}STEP_MS for
--step-ms) and a key of a TOML file (step_ms = 500). The command line wins over
the environment, and that over the file.
"""
ABOUT_STREAM: Final = """\
Shows captions while the audio is streamed, and at its end where the transcript
is. In a pipe, the output is the finished text alone. Ctrl-C ends the audio and
waits for the rest of the text; twice leaves at once.
"""
STREAM_EXAMPLES: Final = """\
examples:
  trioscribe stream talk.mp3 --save talk.srt
  trioscribe stream mic --language de
  arecord -q -t raw -f S16_LE -r 16000 | trioscribe stream -
"""


def parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command line; `command` in its result is the name of the command."""
    root = argparse.ArgumentParser(prog="trioscribe", description=ABOUT, allow_abbrev=False)
    root.add_argument("--version", action="version", version=f"trioscribe {_version()}")
    commands = root.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    _add_settings(_add_command(commands, "serve", "run the server, until Ctrl-C or SIGTERM", ABOUT_SETTINGS))
    config = _add_command(commands, "config", "show the settings, and where each comes from", ABOUT_SETTINGS)
    config.add_argument("--toml", action="store_true", help="write them as a file for --config")
    _add_settings(config)
    stream = _add_command(commands, "stream", "transcribe a file, a pipe or the microphone", ABOUT_STREAM)
    stream.epilog = STREAM_EXAMPLES
    _add_stream(stream)
    return root


def _add_command(commands: Commands, name: str, purpose: str, about: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=purpose,
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", metavar="FILE", help=f"TOML file with settings (environment: {CONFIG_VARIABLE})")
    for row in table():
        # Read as text: the table's own reader says better what is wrong, and in the same words for all sources.
        _add_row(command, row, f"{row.help} (default: {row.default})" if row.default != "" else row.help)


def _add_stream(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("source", metavar="FILE|-|mic", help="audio or video file, raw mono PCM16 on standard input, or mic")
    add("--url", default=DEFAULT_URL, help="the server's WebSocket (default: %(default)s)")
    add("--rest-url", type=_http, metavar="URL", help="its REST interface (default: port 8393 of the same host)")
    add("--key", help="API key, if the server asks for one")
    add("--fast", action="store_true", help="send as fast as the server takes it, not at the speed of speech")
    add("--rate", type=_of(RATES), default=SAMPLE_RATE, metavar="HZ", help="of standard input (default: 16000)")
    add("--json", action="store_true", help="print the server's messages as they are, one a line")
    add("--save", type=Path, metavar="FILE", help="save the transcript: .srt, .vtt, .txt, .tsv or .json")
    for row in table():
        if row.name in PER_STREAM:
            _add_row(command, row, f"{row.help} (default: as the server is set)", _of(row.kind))


def _add_row(command: argparse.ArgumentParser, row: Row, purpose: str, read: Callable[[str], object] = str) -> None:
    command.add_argument(
        row.flag,
        dest=row.name,
        metavar=row.kind.placeholder,
        type=read,
        help=purpose.replace("%", "%%"),
        default=argparse.SUPPRESS,
    )


def _of(kind: Kind[T]) -> Callable[[str], T]:
    def read(text: str) -> T:
        try:
            return kind.check(kind.read(text))
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} will not do; it must be {kind.says}") from error

    return read


def _http(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} will not do; it must start with http:// or https://")
    return text


def _version() -> str:
    try:
        return version("trioscribe")
    except PackageNotFoundError:
        return "(not installed: run from its source)"

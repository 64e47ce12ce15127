"""What may stand on the command line. The flags of the settings are made from their table."""

from __future__ import annotations

import argparse
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from engine.types import SAMPLE_RATE
from server.errors import SourceError
from server.parser import Parser
from server.protocol import StreamConfig
from server.settings.allowed import whole
from server.settings.table import CONFIG_VARIABLE, KEY_VARIABLE, PREFIX, table

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

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
ABOUT_KEYS: Final = """\
A server with a key file lets nobody in without a key from it. The file has only
hashes: a key is shown once, when it is made. Each holder sees its own exports.
"""
ABOUT_DOCTOR: Final = """\
Loads the model, measures what a stream costs on this host, and says how many it
holds; `serve` goes by the result. Takes the settings of `serve`. Best run while
nothing else is going on.
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
  trioscribe stream rtsp://camera/live
  arecord -q -t raw -f S16_LE -r 16000 | trioscribe stream -
"""

ABOUT_MODELS: Final = """\
The model that comes along is a demonstration and understands synthetic voices
only. A real one is two commands away:
  trioscribe models pull base-q8_0
  trioscribe serve --model base-q8_0
"""
ABOUT_QUANTIZE: Final = """\
Writes a smaller copy of a model, as whisper.cpp's own program does: q8_0 takes
little more than half the room of f16 and less of the CPU; q5_1 takes little
more than a third of the room, and as much of the CPU.
"""
MODEL_SETTINGS: Final = frozenset({"models_dir", "models_mirror"})
KEY_SETTINGS: Final = frozenset({"keys_file"})
MODEL_ACTIONS: Final[tuple[tuple[str, str | int | None, str], ...]] = (
    ("list", None, "show the models that are here, and those that can be had"),
    ("pull", "+", "fetch models; resumes an interrupted download"),
    ("verify", "*", "check models bit for bit; without names, all that are here"),
    ("path", 1, "print where a model's file is"),
    ("rm", "+", "delete models, and what a broken pull left of them"),
)
"""What can be done with models: the action, how many names it takes, its purpose."""


class ListDevices(argparse.Action):
    """Prints the microphones and ends the program, as `--version` does with the version."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002 - argparse's signature
        values: object,  # noqa: ARG002 - likewise
        option_string: str | None = None,  # noqa: ARG002 - likewise
    ) -> None:
        """See `argparse.Action`."""
        from server.client.microphone import devices  # noqa: PLC0415 - help does not wait for what it needs

        try:
            print("\n".join(devices()))  # noqa: T201 - this is the program's output
        except SourceError as error:
            parser.exit(1, f"trioscribe: {error}\n")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command line; `command` in its result is the name of the command."""
    root: argparse.ArgumentParser = Parser(prog="trioscribe", description=ABOUT, allow_abbrev=False)
    root.add_argument("--version", action="version", version=f"trioscribe {_version()}")
    commands = root.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    _add_settings(_add_command(commands, "serve", "run the server, until Ctrl-C or SIGTERM", ABOUT_SETTINGS))
    _add_settings(_add_command(commands, "doctor", "measure how many streams this host holds", ABOUT_DOCTOR))
    config = _add_command(commands, "config", "show the settings, and where each comes from", ABOUT_SETTINGS)
    config.add_argument("--toml", action="store_true", help="write them as a file for --config")
    _add_settings(config)
    _add_keys(_add_command(commands, "keys", "make, list and revoke the API keys of a server", ABOUT_KEYS))
    stream = _add_command(commands, "stream", "transcribe a file, a pipe or the microphone", ABOUT_STREAM)
    stream.epilog = STREAM_EXAMPLES
    _add_stream(stream)
    _add_models(_add_command(commands, "models", "list, pull, verify and remove models", ABOUT_MODELS))
    quantize = _add_command(commands, "quantize", "make a model file smaller", ABOUT_QUANTIZE)
    quantize.add_argument("source", metavar="IN", help="a model in f16 or f32: its name or the path of its file")
    quantize.add_argument("target", type=Path, metavar="OUT", help="the file to write; it must not be there yet")
    quantize.add_argument("format", choices=("q8_0", "q5_1"), help="8 or 5 bits (and a half to one more) for a number")
    _add_settings(quantize, MODEL_SETTINGS)
    return root


def _add_command(commands: Commands, name: str, purpose: str, about: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=purpose,
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_models(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    for name, count, purpose in MODEL_ACTIONS:
        action = _add_command(actions, name, purpose, f"{purpose[0].upper()}{purpose[1:]}.")
        if count is None:
            action.set_defaults(names=[])
        else:
            action.add_argument("names", nargs=count, metavar="NAME", help="as `trioscribe models list` has it")
        _add_settings(action, MODEL_SETTINGS)


def _add_keys(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    add = _add_command(actions, "add", "make a key, and print it", "Make a key, and print it: once.")
    add.add_argument("name", metavar="NAME", help="who holds it; exports belong to this name")
    listed = _add_command(actions, "list", "show ID, date and holder of each key", "Show ID, date and holder of each.")
    revoke = _add_command(actions, "revoke", "revoke keys", "Revoke keys.")
    revoke.add_argument("which", metavar="ID|NAME", help="one key by its ID, or all keys of a holder")
    for action in (add, listed, revoke):
        _add_settings(action, KEY_SETTINGS)


def _add_settings(command: argparse.ArgumentParser, names: Collection[str] | None = None) -> None:
    command.add_argument("--config", metavar="FILE", help=f"TOML file with settings (environment: {CONFIG_VARIABLE})")
    for row in table():
        if names is not None and row.name not in names:
            continue
        # Read as text: the table's own reader says better what is wrong, and in the same words for all sources.
        _add_row(command, row, f"{row.help} (default: {row.default})" if row.default != "" else row.help)


def _add_stream(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("source", metavar="FILE|URL|-|mic", help="audio or video, raw mono PCM16 on standard input, or the microphone")
    add("--url", type=_url("ws", "wss"), default=DEFAULT_URL, help="the server's WebSocket (default: %(default)s)")
    add(
        "--rest-url",
        type=_url("http", "https"),
        metavar="URL",
        help="its REST interface (default: as the server says)",
    )
    add("--key", help=f"API key, if the server asks for one; safer in the environment: {KEY_VARIABLE}")
    add("--fast", action="store_true", help="send as fast as the server takes it, not at the speed of speech")
    add("--rate", type=_of(RATES), default=SAMPLE_RATE, metavar="HZ", help="of standard input (default: 16000)")
    add("--device", type=_device, metavar="NAME|N", help="of mic: a part of its name, or its number")
    add("--list-devices", action=ListDevices, nargs=0, help="show the microphones, and exit")
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
        nargs="?" if row.kind.alone else None,
        const=row.kind.alone,
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


def _url(*schemes: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        try:
            parts = urlsplit(text)
            right = parts.scheme in schemes and bool((parts.hostname or "").encode("idna")) and parts.port != 0
        except ValueError:
            right = False
        if not right:
            allowed = " or ".join(f"{scheme}://HOST" for scheme in schemes)
            raise argparse.ArgumentTypeError(f"{text!r} will not do; it must be an address such as {allowed}")
        return text

    return read


def _device(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _version() -> str:
    try:
        return version("trioscribe")
    except PackageNotFoundError:
        return "(not installed: run from its source)"

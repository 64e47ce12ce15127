"""The command `trioscribe`: serve, config, stream."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from engine.errors import EngineError
from server.config import CONFIG_VARIABLE, Effective, load, read_toml, table
from server.errors import ServerError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

USAGE_ERROR = 2
FAILURE = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 for a failure, 2 for a wrong usage or setting."""
    arguments = _parser().parse_args(argv)
    try:
        match arguments.command:
            case "serve":
                _serve(arguments)
            case "config":
                _show_config(arguments)
            case "stream":
                _stream(arguments)
    except* (ServerError, EngineError) as group:
        return _report(group)
    except* KeyboardInterrupt:
        return FAILURE
    return 0


def _report(group: BaseExceptionGroup[BaseException]) -> int:
    errors = list(_leaves(group))
    for error in errors:
        sys.stderr.write(f"trioscribe: {error}\n")
    return USAGE_ERROR if any(isinstance(error, SettingsError) for error in errors) else FAILURE


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _serve(arguments: argparse.Namespace) -> None:
    from server.app import serve  # noqa: PLC0415 - native libraries are not loaded just to print a help text

    trio.run(serve, _effective(arguments).settings)


def _show_config(arguments: argparse.Namespace) -> None:
    effective = _effective(arguments)
    for row in table():
        value = getattr(effective.settings, row.name)
        text = str(value) if isinstance(value, int | float) else f'"{value}"'
        if arguments.toml:
            sys.stdout.write(f"{row.name} = {text}\n")
        else:
            sys.stdout.write(f"{row.name:18} {text:40} {effective.origins[row.name]}\n")


def _stream(arguments: argparse.Namespace) -> None:
    from server.listening import Order, listen  # noqa: PLC0415 - see above
    from server.protocol import StreamConfig  # noqa: PLC0415

    config = StreamConfig(language=arguments.language, partials=arguments.partials)
    order = Order(
        source=arguments.source,
        url=arguments.url,
        rest=arguments.rest_url,
        config=config,
        rate=arguments.rate,
        fast=arguments.fast,
        raw=arguments.json,
        save_as=arguments.save,
    )
    trio.run(listen, order)


def _effective(arguments: argparse.Namespace) -> Effective:
    file = arguments.config or os.environ.get(CONFIG_VARIABLE)
    toml = read_toml(Path(file)) if file else {}
    values = {row.name: value for row in table() if (value := getattr(arguments, row.name)) is not None}
    return load(values, os.environ, toml, file=str(file or ""))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trioscribe", description="Live transcription for machines without a GPU.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"trioscribe {version('trioscribe')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the server", description="Run the server.")
    config = commands.add_parser(
        "config",
        help="show the effective settings and where each comes from",
        description="Show the effective settings and where each comes from: default, file, environment, command line.",
    )
    config.add_argument("--toml", action="store_true", help="print a file for --config instead")
    for command in (serve, config):
        command.add_argument("--config", metavar="FILE.toml", help=f"settings file (or {CONFIG_VARIABLE})")
        for row in table():
            command.add_argument(
                row.flag,
                dest=row.name,
                metavar="VALUE",
                help=f"{row.help.replace('%', '%%')} (default: {row.default})",
            )
    _add_stream(commands.add_parser("stream", help="stream a file, standard input or the microphone to a server"))
    return parser


def _add_stream(stream: argparse.ArgumentParser) -> None:
    stream.description = "Stream audio to a server and show the captions as they come."
    stream.add_argument("source", help="an audio file, - for raw 16-bit mono PCM on standard input, or mic")
    stream.add_argument("--url", default="ws://127.0.0.1:8394/", help="the server (default: %(default)s)")
    stream.add_argument("--rest-url", help="its REST port (default: port 8393 of the same host)")
    stream.add_argument("--fast", action="store_true", help="as fast as the server takes it, not at 1x")
    stream.add_argument("--json", action="store_true", help="print the server's messages as they come")
    stream.add_argument("--save", type=Path, metavar="FILE", help="save the transcript: .srt .vtt .txt .tsv or .json")
    stream.add_argument("--language", help='language code, or "auto" (default: the server\'s setting)')
    stream.add_argument("--partials", choices=("stable", "eager"), help="overrides the server's setting")
    stream.add_argument("--rate", type=int, default=16_000, help="of raw PCM on standard input (default: 16000)")


if __name__ == "__main__":
    sys.exit(main())

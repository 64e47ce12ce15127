"""The program: its commands, what it says when they fail, and the status it leaves with."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.errors import EngineError
from server.arguments import PER_STREAM, parser
from server.errors import ServerError, SettingsError
from server.protocol import StreamConfig
from server.settings.effective import as_table, as_toml
from server.settings.table import CONFIG_VARIABLE, KEY_VARIABLE, load, read_toml, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from server.settings.table import Effective

FAILURE: Final = 1
USAGE_ERROR: Final = 2
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells have it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; `argv` is without the program's name. What goes wrong is one line on standard error.

    Returns the exit status: 0 if all went well, 2 for settings that are not allowed, 130 after Ctrl-C and 1 for
    any other failure. Raises `SystemExit`, as argparse does: 2 for wrong usage, 0 after help.
    """
    options = parser().parse_args(argv)
    status = 0
    try:
        _run(options)
    except* KeyboardInterrupt:
        status = INTERRUPTED
    except* BrokenPipeError:
        # Who read the output has had enough; without this, Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = FAILURE
    except* (ServerError, EngineError) as errors:
        error = _first(errors)
        print(f"trioscribe: {error}", file=sys.stderr)  # noqa: T201 - this is the program's output
        status = USAGE_ERROR if isinstance(error, SettingsError) else FAILURE
    return status


def _run(options: argparse.Namespace) -> None:
    match options.command:
        case "serve":
            _serve(_effective(options))
        case "doctor":
            _doctor(_effective(options))
        case "config":
            effective = _effective(options)
            print(as_toml(effective) if options.toml else as_table(effective))  # noqa: T201 - likewise
            sys.stdout.flush()  # here, where a reader who has gone is expected
        case "keys":
            _keys(options, _effective(options))
        case "stream":
            _stream(options)
        case "models":
            _models(options, _effective(options))
        case "quantize":
            _quantize(options, _effective(options))


def _effective(options: argparse.Namespace) -> Effective:
    values = {row.name: getattr(options, row.name) for row in table() if hasattr(options, row.name)}
    file = options.config or os.environ.get(CONFIG_VARIABLE)
    toml: Mapping[str, object] = read_toml(Path(file)) if file else {}
    return load(values, os.environ, toml, file=str(file))


# The imports of the commands are late, so that help and mistakes do not wait for what only a server needs.


def _serve(effective: Effective) -> None:
    import trio  # noqa: PLC0415

    from server import app  # noqa: PLC0415

    trio.run(app.serve, effective.settings)


def _doctor(effective: Effective) -> None:
    import trio  # noqa: PLC0415

    from server import doctor  # noqa: PLC0415

    trio.run(doctor.examine, effective.settings)


def _stream(options: argparse.Namespace) -> None:
    import trio  # noqa: PLC0415

    from server.client.listening import Order, listen  # noqa: PLC0415

    chosen = {name: getattr(options, name) for name in PER_STREAM if hasattr(options, name)}
    order = Order(
        source=options.source,
        url=options.url,
        rest=options.rest_url,
        config=StreamConfig(**chosen),
        key=options.key or os.environ.get(KEY_VARIABLE),
        rate=options.rate,
        device=options.device,
        fast=options.fast,
        raw=options.json,
        save_as=options.save,
    )
    trio.run(listen, order)


def _keys(options: argparse.Namespace, effective: Effective) -> None:
    from server.commands.keys import run  # noqa: PLC0415

    run(options, effective.settings)


def _models(options: argparse.Namespace, effective: Effective) -> None:
    from server.commands.models import run  # noqa: PLC0415

    run(options.action, options.names, effective.settings)


def _quantize(options: argparse.Namespace, effective: Effective) -> None:
    from server.commands.quantize import run  # noqa: PLC0415

    run(options.source, options.target, options.format, effective.settings)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    sys.exit(main())

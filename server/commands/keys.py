"""The command `trioscribe keys`: make, list and revoke the API keys of a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from server.access import keys
from server.errors import SettingsError

if TYPE_CHECKING:
    import argparse

    from server.settings.table import Settings


def run(options: argparse.Namespace, settings: Settings) -> None:
    """Carry out `keys add NAME`, `keys list` or `keys revoke ID|NAME`.

    Only the key itself and the list go to standard output, so that they can be piped; what is said about them goes to
    standard error. Raises `SettingsError` if no file is named, and `KeyFileError`.
    """
    if not settings.keys_file:
        raise SettingsError(
            "Say which file has the keys: --keys-file FILE, TRIOSCRIBE_KEYS_FILE in the environment or keys_file in "
            "the configuration file, as for the server."
        )
    path = Path(settings.keys_file)
    match options.action:
        case "add":
            _add(path, options.name)
        case "list":
            for key in keys.read(path):
                print(f"{key.id}  {key.created}  {key.holder}")  # noqa: T201 - this is the program's output
        case "revoke":
            for key in keys.revoke(path, options.which):
                _note(f"Revoked key {key.id} of {key.holder}.")
            _note(
                "A running server stops accepting it within a second or two; streams that are open go on to their end."
            )


def _add(path: Path, holder: str) -> None:
    secret, key = keys.add(path, holder)
    others = sum(each.holder == holder for each in keys.read(path)) - 1
    _note(f"Key {key.id} of {holder}; it is shown this once and stored nowhere:")
    print(secret, flush=True)  # noqa: T201 - likewise
    if others:
        _note(f"{holder} has {others} more; each of them opens all that {holder} has stored.")


def _note(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - likewise

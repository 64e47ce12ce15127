"""Settings written out: for people, with where each came from, and as a TOML file to start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from server.settings.table import Origin, table

if TYPE_CHECKING:
    from server.settings.table import Effective


def as_table(effective: Effective) -> str:
    """Write one line for each setting, in columns: name, value, origin."""
    rows = [(row.name, _value(getattr(effective.settings, row.name)), effective.origins[row.name]) for row in table()]
    names = max(len(name) for name, _, _ in rows)
    values = max(len(value) for _, value, _ in rows)
    return "\n".join(f"{name:<{names}}  {value:<{values}}  {origin}" for name, value, origin in rows)


def as_toml(effective: Effective) -> str:
    """Write a file for `--config` that gives the same settings.

    What has its default stands in a comment, so that the file follows the defaults of later versions.
    """
    blocks = []
    for row in table():
        line = f"{row.name} = {_value(getattr(effective.settings, row.name))}"
        hash_ = "# " if effective.origins[row.name] is Origin.DEFAULT else ""
        blocks.append(f"# {row.help}; {row.kind.says}\n{hash_}{line}\n")
    return "\n".join(blocks)


def _value(value: object) -> str:
    """Write a value as TOML has it."""
    if isinstance(value, (str, Path)):
        # TOML's basic strings are JSON's, but for DEL, which TOML wants escaped and JSON does not.
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else str(value)

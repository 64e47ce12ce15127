"""A parser of command lines that says of an unknown option which one was meant."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from server.settings.suggestion import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence


class Parser(argparse.ArgumentParser):
    """A parser that refuses an unknown option itself, with its own usage, where argparse leaves that to the root's."""

    def parse_known_args(  # type: ignore[override]  # argparse overloads it for namespaces of other types
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """See `argparse.ArgumentParser`; what is left over ends the program, as wrong usage does."""
        known, rest = super().parse_known_args(args, namespace)
        if rest:
            option = rest[0].partition("=")[0]
            close = nearest(option, self._option_string_actions)
            kind = "option" if option.startswith("-") else "argument"
            hint = f"did you mean {close}?" if close else f"`{self.prog} --help` lists what there is."
            self.error(f"Unknown {kind} {option}; {hint}")
        return known, rest

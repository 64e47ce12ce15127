"""What a setting's value may be: whole numbers, numbers, words, texts, directories."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A set of allowed values.

    `read` turns the text of a flag or an environment variable into a value, and `check` returns a value that
    is allowed, whatever its source; both raise `ValueError` and leave the sentence to the caller, who knows
    where the value stood. `says` follows "it must be" in that sentence; `placeholder` stands in usage lines;
    `alone` is what a flag without a value means, if it may stand alone.
    """

    placeholder: str
    says: str
    read: Callable[[str], object]
    check: Callable[[object], T]
    alone: str | None = None


def whole(low: int, high: int) -> Kind[int]:
    """Allow whole numbers from `low` to `high`, both included."""

    def check(value: object) -> int:
        # bool is a subclass of int, but `port = true` is a mistake.
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return Kind("N", f"a whole number from {low} to {high}", int, check)


def number(low: float, high: float) -> Kind[float]:
    """Allow numbers, with or without a fraction, from `low` to `high`, both included."""

    def check(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise ValueError
        return float(value)

    return Kind("X", f"a number from {low:g} to {high:g}", float, check)


def choice(*words: str) -> Kind[str]:
    """Allow only these words."""

    def check(value: object) -> str:
        if value not in words:
            raise ValueError
        return str(value)

    return Kind("{" + ",".join(words) + "}", "one of " + ", ".join(words), str.strip, check)


def switch() -> Kind[bool]:
    """Allow true and false; on the command line, the flag alone is true."""

    def read(value: str) -> object:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(value.casefold())

    def check(value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError  # noqa: TRY004 - as all kinds do
        return value

    return Kind("{true,false}", "true or false", read, check, alone="true")


def text(pattern: re.Pattern[str], says: str, placeholder: str = "TEXT") -> Kind[str]:
    """Allow texts that match `pattern` as a whole; `says` tells people what it means."""

    def check(value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError
        return value

    return Kind(placeholder, says, str, check)


def host_name() -> Kind[str]:
    """Allow what can be looked up: addresses, and names whose parts are of the right length."""

    def check(value: object) -> str:
        if not isinstance(value, str) or not value or "\0" in value:
            raise ValueError
        value.encode("idna")
        return value

    return Kind("HOST", "an address or a host name", str, check)


def file() -> Kind[str]:
    """Allow paths, or an empty text for none. `~` is the home directory."""

    def check(value: object) -> str:
        if not isinstance(value, str) or "\0" in value:
            raise ValueError
        return str(_at_home(value)) if value else ""

    return Kind("FILE", "the path of a file", str, check)


def folder() -> Kind[Path]:
    """Allow paths. `~` is the home directory; a relative path starts where the program was started."""

    def check(value: object) -> Path:
        if not isinstance(value, (str, Path)) or not str(value) or "\0" in str(value):
            raise ValueError
        return _at_home(value)

    return Kind("DIR", "the path of a directory", str, check)


def _at_home(path: str | Path) -> Path:
    """Put the home directory in the place of `~` or `~user`. Raises `ValueError` if there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError from error

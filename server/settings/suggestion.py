"""What was meant by a word that is not known."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like this one, if any is. One with the same letters in another order comes first."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=len(names) or 1)
    return min(close, key=lambda name: sorted(name) != sorted(word), default=None)

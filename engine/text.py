"""How words are compared, and where sentences end."""

from __future__ import annotations

import unicodedata
from typing import Final

SENTENCE_ENDS: Final = frozenset(".?!…。？！｡")  # noqa: RUF001 - the full-width marks are the point
CLOSERS: Final = frozenset("\"'”’»)]」』")  # noqa: RUF001 - quotation marks that may follow the end mark

ABBREVIATIONS: Final = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "jr",
        "sr",
        "vs",
        "etc",
        "e.g",
        "i.e",
        "no",
        "approx",
        "dept",
        "est",
        "fig",
        "inc",
        "ltd",
        "co",
        "z.b",
        "d.h",
        "u.a",
        "usw",
        "bzw",
        "ca",
        "nr",
        "str",
        "hr",
        "fr",
        "evtl",
        "ggf",
        "inkl",
        "max",
        "min",
        "tel",
        "vgl",
    ]
)
"""Words that are written with a full stop in mid-sentence, without it and in lower case (English and German)."""


def normalise(text: str) -> str:
    """The form in which words are compared: NFKC, casefold, no punctuation (Unicode category P), no spaces.

    A word that is all punctuation keeps its casefolded form: nothing compares equal by being emptied.
    """
    folded = unicodedata.normalize("NFKC", text).strip().casefold()
    bare = "".join(char for char in folded if unicodedata.category(char)[0] not in "PZ")
    return bare or folded


def ends_sentence(text: str) -> bool:
    """Whether a word closes a sentence by its own look.

    Abbreviations, initials and ordinals ("Dr.", "J.", "3.") do not: they need a pause to be told from an end.
    """
    bare = text.strip()
    while bare and bare[-1] in CLOSERS:
        bare = bare[:-1]
    if not bare or bare[-1] not in SENTENCE_ENDS:
        return False
    if bare[-1] != ".":
        return True
    stem = bare.rstrip(".").casefold()
    return not (stem in ABBREVIATIONS or stem.isdigit() or (len(stem) == 1 and stem.isalpha()))

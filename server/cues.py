"""Cuts finals into subtitle cues that can be read: short lines, at most two, long enough on the screen.

Pure. How it works: the finals become atoms (a word, or a piece of one that no line could hold); within each
final, the cheapest way to cut the atoms into cues is found by dynamic programming, where a cut after a
sentence or in a pause is free and any other has a price. Widths are columns: a full-width character takes two.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from server.protocol import WireFinal

MAX_COLUMNS: Final = 42
MAX_LINES: Final = 2
MIN_MS: Final = 1_000
MAX_MS: Final = 7_000
PAUSE_MS: Final = 500
"""A silence that is felt as one: a good place to cut, a bad one to have inside a cue."""

SENTENCE_END: Final = ".!?…。！？؟।"  # noqa: RUF001  the full-width marks are meant
CLAUSE_END: Final = ",;:–—、，；："  # noqa: RUF001  the full-width marks are meant
_CLOSING: Final = "\"'”’»)]}」』）"  # noqa: RUF001  as above
_TOKEN: Final = re.compile(r"\s+|\S+")
# A character with the marks that sit on it (Latin, Devanagari, kana, emoji); a taller pile is not writing.
_MARKS: Final = "\u0300-\u036f\u0900-\u0903\u093c-\u094d\u3099\u309a\u200d\ufe0e\ufe0f"
_CLUSTER: Final = re.compile(rf"\S[{_MARKS}]{{0,8}}")


@dataclass(frozen=True, slots=True)
class Cue:
    """One or two lines of text, shown from `start` up to but not including `end` (milliseconds)."""

    start: int
    end: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Atom:
    """Text that is never broken, at most a line wide; `spaced` if a space stands before it. Milliseconds."""

    text: str
    spaced: bool
    start: int
    end: int
    columns: int


def build_cues(finals: Sequence[WireFinal]) -> list[Cue]:
    """Cut all text of `finals` into cues in order of time that do not overlap. No cue spans two finals."""
    cues: list[Cue] = []
    now = 0
    for final in finals:
        atoms = _atoms(final, now)
        now = atoms[-1].end if atoms else now
        cues += _cut(atoms)
    return _settle(cues)


def columns(text: str) -> int:
    """Count the columns that `text` takes on a screen."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _atoms(final: WireFinal, earliest: int) -> list[Atom]:
    """Make the atoms of a final. Times never run backwards from `earliest`, whatever the final says."""
    atoms: list[Atom] = []
    now = earliest
    spaced = False
    for part, start, end in _parts(final, now):
        begin = max(now, start)
        length = max(0, end - begin)
        pieces = list(_pieces(part, spaced))
        times = [begin + length * number // len(pieces) for number in range(1, len(pieces) + 1)]
        for (text, after_space), (since, now) in zip(pieces, pairwise([begin, *times]), strict=True):
            atoms.append(Atom(text, after_space, since, now, columns(text)))
        spaced = part[-1:].isspace() if part else spaced
    return atoms


def _parts(final: WireFinal, now: int) -> Iterator[tuple[str, int, int]]:
    """Cut the text without loss before each of its words; with the words' times in milliseconds."""
    text = _visible(final.text)
    if not final.result:
        yield text, now, now
        return
    position = 0
    cuts = []
    for word in final.result:
        bare = _visible(word.word)
        found = text.find(bare, position)
        if found < 0:  # not the words of this text: only their times can be used, and only as a whole
            yield text, _ms(final.result[0].start), _ms(final.result[-1].end)
            return
        cuts.append(found)
        position = found + len(bare)
    # What stands before the first word goes with it, and what stands after a word goes with that one.
    cuts[0] = 0
    for word, (begin, end) in zip(final.result, pairwise([*cuts, len(text)]), strict=True):
        yield text[begin:end], _ms(word.start), _ms(word.end)


def _pieces(part: str, spaced: bool) -> Iterator[tuple[str, bool]]:
    """Cut `part` at its spaces, and where a line would be full; with whether a space precedes each piece."""
    for token in _TOKEN.findall(part):
        if token.isspace():
            spaced = True
            continue
        piece = ""
        for cluster in _CLUSTER.findall(token):
            if columns(piece) + columns(cluster) > MAX_COLUMNS:
                yield piece, spaced
                piece, spaced = "", False
            piece += cluster
        yield piece, spaced
        spaced = False


def _cut(atoms: Sequence[Atom]) -> Iterator[Cue]:
    """Cut one final at the lowest price. `best[n]` is the price of the first n atoms, `cuts[n]` its last cut."""
    best = [0.0] + [float("inf")] * len(atoms)
    cuts = [0] * (len(atoms) + 1)
    for end in range(1, len(atoms) + 1):
        inside = 0.0
        for begin in range(end - 1, -1, -1):
            cue = atoms[begin:end]
            if len(cue) > 1:
                inside += _price_of_keeping(atoms[begin], atoms[begin + 1])
                if cue[-1].end - cue[0].start > MAX_MS or _lines(cue) is None:
                    break
            following = atoms[end] if end < len(atoms) else None
            price = best[begin] + inside + _price(cue, following)
            if price < best[end]:
                best[end], cuts[end] = price, begin
    bounds = [len(atoms)]
    while bounds[-1]:
        bounds.append(cuts[bounds[-1]])
    bounds.reverse()
    for begin, end in pairwise(bounds):
        cue = atoms[begin:end]
        yield Cue(cue[0].start, cue[-1].end, _lines(cue) or ())


def _price(cue: Sequence[Atom], following: Atom | None) -> float:
    """Price these atoms as a cue: cut off in mid-sentence, too short, unevenly full."""
    price = 3.0
    if following is not None:
        if following.start - cue[-1].end < PAUSE_MS and not _ends_with(cue[-1].text, SENTENCE_END):
            price += 10.0 if _ends_with(cue[-1].text, CLAUSE_END) else 25.0
        price += 12.0 * max(0, MIN_MS - (following.start - cue[0].start)) / MIN_MS
    fullness = sum(atom.columns for atom in cue) / (MAX_LINES * MAX_COLUMNS)
    return price + 5.0 * fullness**2


def _price_of_keeping(atom: Atom, following: Atom) -> float:
    """Price having these two in one cue."""
    pause = 15.0 if following.start - atom.end >= PAUSE_MS else 0.0
    return pause + (5.0 if _ends_with(atom.text, SENTENCE_END) else 0.0)


def _lines(atoms: Sequence[Atom]) -> tuple[str, ...] | None:
    """Set the atoms on one line, or on two of like length; None if they fit on neither."""
    total = _width(atoms)
    if total <= MAX_COLUMNS:
        return (_joined(atoms),)
    if total > MAX_LINES * MAX_COLUMNS + 1:
        return None
    best: tuple[int, int] | None = None
    upper = 0
    for cut in range(1, len(atoms)):
        upper += atoms[cut - 1].columns + (atoms[cut - 1].spaced and cut > 1)
        lower = total - upper - atoms[cut].spaced
        if upper > MAX_COLUMNS or lower > MAX_COLUMNS:
            continue
        # A break after punctuation is worth some unevenness; one without a space is none a reader expects.
        unrest = abs(upper - lower) - 12 * _ends_with(atoms[cut - 1].text, SENTENCE_END + CLAUSE_END)
        unrest += 0 if atoms[cut].spaced else 6
        if best is None or unrest < best[0]:
            best = unrest, cut
    return (_joined(atoms[: best[1]]), _joined(atoms[best[1] :])) if best else None


def _settle(cues: Sequence[Cue]) -> list[Cue]:
    """Give the cues their times: in order, none empty, short ones held as long as nothing else is to be shown."""
    settled: list[Cue] = []
    for number, cue in enumerate(cues):
        start = max(cue.start, settled[-1].end if settled else 0)
        free = cues[number + 1].start if number + 1 < len(cues) else start + MIN_MS
        end = min(max(cue.end, min(start + MIN_MS, free), start + 1), start + MAX_MS)
        settled.append(replace(cue, start=start, end=end))
    return settled


def _ends_with(text: str, marks: str) -> bool:
    return text.rstrip(_CLOSING)[-1:] in marks if text.rstrip(_CLOSING) else False


def _joined(atoms: Sequence[Atom]) -> str:
    return "".join(" " * (atom.spaced and number > 0) + atom.text for number, atom in enumerate(atoms))


def _width(atoms: Sequence[Atom]) -> int:
    return sum(atom.columns + atom.spaced for atom in atoms) - atoms[0].spaced


def _visible(text: str) -> str:
    return "".join(char for char in text if char.isspace() or unicodedata.category(char) != "Cc")


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)

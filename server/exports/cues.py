"""Cuts finals into subtitle cues that can be read: short lines, at most two, long enough on the screen.

Pure. How it works: the finals become atoms (a word, or a piece of one that no line could hold); within each
final, the cheapest way to cut the atoms into cues is found by dynamic programming, where a cut after a
sentence or in a pause is free and any other has a price. Widths are columns: a full-width character takes two.
"""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
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

# What is bad about a cutting, as prices that are summed up. They were set by reading what came out.
PER_CUE: Final = 3.0
MID_SENTENCE: Final = 10.0
"""A cut after a comma and the like."""
MID_CLAUSE: Final = 25.0
PAUSE_INSIDE: Final = 15.0
SENTENCE_INSIDE: Final = 5.0
SHORTNESS: Final = 12.0
"""For a cue that gets hardly any time."""
FULLNESS: Final = 5.0
"""Times the square of how full a cue is: two that are alike are cheaper than a full and an empty one."""

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
    if text.isascii():
        return len(text)
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
    edges = [0, *accumulate(atom.columns + atom.spaced for atom in atoms)]
    at_cut, if_kept = _prices(atoms)
    best = [0.0]
    cuts = [0]
    for end in range(1, len(atoms) + 1):
        best.append(math.inf)
        cuts.append(0)
        kept = 0.0
        for begin in range(end - 1, -1, -1):
            if begin < end - 1:
                kept += if_kept[begin + 1]
                if atoms[end - 1].end - atoms[begin].start > MAX_MS or not _fits(atoms, edges, begin, end):
                    break
            price = best[begin] + kept + at_cut[end] + PER_CUE
            price += FULLNESS * ((edges[end] - edges[begin]) / (MAX_LINES * MAX_COLUMNS)) ** 2
            if end < len(atoms):
                price += SHORTNESS * max(0, MIN_MS - (atoms[end].start - atoms[begin].start)) / MIN_MS
            if price < best[end]:
                best[end], cuts[end] = price, begin
    bounds = [len(atoms)]
    while bounds[-1]:
        bounds.append(cuts[bounds[-1]])
    bounds.reverse()
    for begin, end in pairwise(bounds):
        yield Cue(atoms[begin].start, atoms[end - 1].end, _lines(atoms[begin:end]))


def _prices(atoms: Sequence[Atom]) -> tuple[list[float], list[float]]:
    """Price each place between two atoms: what it costs to cut there, and what it costs not to."""
    at_cut, if_kept = [0.0], [0.0]
    for atom, following in pairwise(atoms):
        pause = following.start - atom.end >= PAUSE_MS
        mark = atom.text.rstrip(_CLOSING)[-1:]
        sentence = mark != "" and mark in SENTENCE_END
        clause = mark != "" and mark in CLAUSE_END
        at_cut.append(0.0 if pause or sentence else MID_CLAUSE if not clause else MID_SENTENCE)
        if_kept.append(PAUSE_INSIDE * pause + SENTENCE_INSIDE * sentence)
    return [*at_cut, 0.0], if_kept


def _fits(atoms: Sequence[Atom], edges: Sequence[int], begin: int, end: int) -> bool:
    """Whether two lines hold the atoms: they do if the second holds what is too much for the first."""
    left = edges[begin] + atoms[begin].spaced
    if edges[end] - left <= MAX_COLUMNS:
        return True
    cut = bisect_right(edges, left + MAX_COLUMNS, begin, end) - 1
    return edges[end] - edges[cut] - atoms[cut].spaced <= MAX_COLUMNS


def _lines(atoms: Sequence[Atom]) -> tuple[str, ...]:
    """Set the atoms, which fit, on one line or on two of like length."""
    total = sum(atom.columns + atom.spaced for atom in atoms) - atoms[0].spaced
    if total <= MAX_COLUMNS:
        return (_joined(atoms),)
    upper = -int(atoms[0].spaced)
    unrest: dict[int, int] = {}
    for cut, (above, below) in enumerate(pairwise(atoms), 1):
        upper += above.columns + above.spaced
        lower = total - upper - below.spaced
        if max(upper, lower) <= MAX_COLUMNS:
            # A break after punctuation is worth some unevenness; one where no space is, none.
            mark = above.text.rstrip(_CLOSING)[-1:]
            good = mark != "" and mark in SENTENCE_END + CLAUSE_END
            unrest[cut] = abs(upper - lower) - 12 * good + 6 * (not below.spaced)
    cut = min(unrest, key=unrest.__getitem__)
    return (_joined(atoms[:cut]), _joined(atoms[cut:]))


def _settle(cues: Sequence[Cue]) -> list[Cue]:
    """Give the cues their times: in order, none empty, short ones held as long as nothing else is to be shown."""
    settled: list[Cue] = []
    for number, cue in enumerate(cues):
        start = max(cue.start, settled[-1].end if settled else 0)
        free = cues[number + 1].start if number + 1 < len(cues) else start + MIN_MS
        end = min(max(cue.end, min(start + MIN_MS, free), start + 1), start + MAX_MS)
        settled.append(replace(cue, start=start, end=end))
    return settled


def _joined(atoms: Sequence[Atom]) -> str:
    return "".join(" " * (atom.spaced and number > 0) + atom.text for number, atom in enumerate(atoms))


def _visible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char for char in text if char.isspace() or unicodedata.category(char) != "Cc")


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)

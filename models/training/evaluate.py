"""Examine a ggml model: word error rates, word times, language, silence. Prints tables in Markdown."""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from models.library import BUNDLED, find
from models.training.clips import questions
from models.training.examination import Examiner, Question
from models.training.listener import Listener
from models.training.scoring import Score, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SPEAKERS: Final = (
    ("en", "espeak-ng"),
    ("en", "flite"),
    ("en", "festival"),
    ("de", "espeak-ng"),
    ("en", "espeak-ng, known"),
    ("en", "flite, known"),
    ("en", "festival, known"),
    ("de", "espeak-ng, known"),
)
"""Language and synthesiser; "known" are voices that were learned from, the others those that never were."""

SINGLE: Final = 60
TRAILING: Final = 20
CUT: Final = 30
DISORDERED: Final = 20
MANY: Final = {10.0: 12, 20.0: 8, 30.0: 6}
"""Questions of each kind and speaker; those of many sentences by the seconds that they may fill."""

Ear = tuple[bool, int | None]
"""Whether timestamps are on, and the encoder's context (None: just enough)."""

EARS: Final[dict[str, Ear]] = {
    "off, fitting": (False, None),
    "off, 1500": (False, 1500),
    "on, fitting": (True, None),
    "on, 1500": (True, 1500),
}


@dataclass(frozen=True, slots=True)
class Findings:
    """What came of a part: lines to print, and by method how far word starts are from the truth (seconds)."""

    lines: list[str]
    times: dict[str, list[float]]


class Part:
    """A part of the examination, with questions of its own: one of the methods named in `PARTS`, or `clips`."""

    def __init__(self, model: Path, size: float, name: str) -> None:
        self._listener = Listener(model)
        self._timer = Listener(model, dtw=True)
        self._examiner = Examiner(name)
        self._size = size
        self._lines: list[str] = []
        self._times: defaultdict[str, list[float]] = defaultdict(list)

    def findings(self) -> Findings:
        """All that was found so far. Lets go of the synthesisers."""
        self._examiner.close()
        return Findings(self._lines, dict(self._times))

    def single(self) -> None:
        """One sentence."""
        self._table("One sentence", SINGLE, self._examiner.single)

    def disordered(self) -> None:
        """Words in no order."""
        self._table("Words in no order", DISORDERED, self._examiner.disordered, timed=False)

    def many(self) -> None:
        """Many sentences."""
        for seconds, count in MANY.items():
            title = f"Many sentences with pauses, {seconds:.0f} s"
            self._table(title, count, partial(self._examiner.many, seconds))

    def trailing(self) -> None:
        """Silence after it."""
        self._table("One sentence, then 6 s of silence", TRAILING, self._examiner.trailing, timed=False)

    def cut(self) -> None:
        """Cut off."""
        self._table("Cut off in mid-word", CUT, self._examiner.cut, timed=False)

    def languages(self) -> None:
        """The language."""
        self._lines += ["", "### Language detected right", ""]
        for speaker in SPEAKERS[:4]:
            asked = [self._examiner.single(*speaker) for _ in range(self._count(100))]
            right = sum(self._listener.detect(question.sound) == question.language for question in asked)
            self._lines.append(f"- {' '.join(speaker)}: {right} of {len(asked)}")

    def nothing(self) -> None:
        """Nobody speaks."""
        self._lines += ["", "### Windows without speech in which words are heard", ""]
        for kind in ("silence", "noise", "music"):
            for timestamps in (False, True):
                heard = [
                    self._listener.hear(self._examiner.nothing(kind, seconds), "en", timestamps=timestamps)
                    for seconds in np.linspace(1, 29, self._count(40))
                ]
                wrong = sum(any(plain(word.text) for word in words) for words in heard)
                self._lines.append(f"- {kind}, timestamps {'on' if timestamps else 'off'}: {wrong} of {len(heard)}")

    def clips(self, folder: Path) -> None:
        """How each clip of a folder is heard."""
        self._head("Clips: words wrong", "clip", list(EARS))
        for name, question in questions(folder).items():
            scores = [self._score([question], ear) for ear in EARS.values()]
            self._time([question])
            self._row(name, scores[0].words, [str(score.errors) for score in scores])

    def _count(self, count: int) -> int:
        return max(1, round(count * self._size))

    def _head(self, title: str, first: str, columns: list[str]) -> None:
        self._lines += ["", f"### {title}", "", f"| {first} | words | {' | '.join(columns)} |"]
        self._lines.append(f"|---|---|{'---|' * len(columns)}")

    def _row(self, name: str, words: int, cells: list[str]) -> None:
        self._lines.append(f"| {name} | {words} | {' | '.join(cells)} |")

    def _table(self, title: str, count: int, draw: Callable[[str, str], Question], *, timed: bool = True) -> None:
        self._head(f"{title}: word error rate", "speaker", [*EARS, "noise, off, fitting"])
        for speaker in SPEAKERS:
            asked = [draw(*speaker) for _ in range(self._count(count))]
            noisy = [self._examiner.noisy(question) for question in asked]
            scores = [*(self._score(asked, ear) for ear in EARS.values()), self._score(noisy, (False, None))]
            if timed:
                self._time(asked)
            self._row(" ".join(speaker), scores[0].words, [f"{score.rate:.1%}" for score in scores])

    def _score(self, asked: Iterable[Question], ear: Ear) -> Score:
        score = Score()
        for question in asked:
            heard = self._listener.hear(question.sound, question.language, timestamps=ear[0], context=ear[1])
            score.add([word.text for word in question.words], [word.text for word in heard if plain(word.text)])
        return score

    def _time(self, asked: Iterable[Question]) -> None:
        """Note how far the starts of words heard right are from the truth; without timestamps, token times are void."""
        for question in asked:
            for method, listener, timestamps in (("DTW", self._timer, False), ("token times", self._listener, True)):
                heard = listener.hear(question.sound, question.language, timestamps=timestamps)
                heard = [word for word in heard if plain(word.text)]
                pairs = Score().add([word.text for word in question.words], [word.text for word in heard])
                for i, j in pairs:
                    if question.words[i].sure:
                        found = heard[j].by_token if timestamps else heard[j].by_dtw
                        self._times[method].append(found - question.words[i].start)


PARTS: Final = ("single", "disordered", "many", "trailing", "cut", "languages", "nothing")


def examine(task: tuple[Path, float, str]) -> Findings:
    """Do one part, alone in its process."""
    model, size, name = task
    part = Part(model, size, name)
    getattr(part, name)()
    return part.findings()


def show(found: Iterable[Findings]) -> None:
    """Print each part as soon as it is done, and at last how far word starts are from the truth."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for part in found:
        print("\n".join(part.lines), flush=True)
        for method, errors in part.times.items():
            times[method] += errors
    print(
        "\n### Word starts: error in ms\n\n| method | words | median | 90th percentile | bias |\n|---|---|---|---|---|"
    )
    for method, errors in times.items():
        off = np.array(errors) * 1000
        middle, most = np.percentile(np.abs(off), [50, 90])
        print(f"| {method} | {len(off)} | {middle:.0f} | {most:.0f} | {np.median(off):+.0f} |")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.training.evaluate", description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", help="ggml file (default: the bundled one)")
    parser.add_argument("--size", type=float, default=1.0, help="share of the questions (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="parts done at a time (default: %(default)s)")
    parser.add_argument("--clips", type=Path, metavar="FOLDER", help="hear these instead (see models.training.clips)")
    arguments = parser.parse_args()
    model = arguments.model or find(BUNDLED).path
    if arguments.clips:
        part = Part(model, arguments.size, "clips")
        part.clips(arguments.clips)
        show([part.findings()])
    else:
        with get_context("spawn").Pool(arguments.processes, maxtasksperchild=1) as pool:
            show(pool.imap(examine, [(model, arguments.size, name) for name in PARTS]))


if __name__ == "__main__":
    main()

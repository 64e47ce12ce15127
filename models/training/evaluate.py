"""Examine a ggml model: word error rates, word times, language, silence. Prints tables in Markdown."""

from __future__ import annotations

import argparse
from collections import defaultdict
from contextlib import closing
from functools import partial
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


class Evaluation:
    """One model and its questions."""

    def __init__(self, model: Path, size: float) -> None:
        self._listener = Listener(model)
        self._timer = Listener(model, dtw=True)
        self._examiner = Examiner()
        self._size = size
        self._times: defaultdict[str, list[float]] = defaultdict(list)

    def close(self) -> None:
        """Let go of the synthesisers."""
        self._examiner.close()

    def run(self) -> None:
        """Print everything."""
        examiner = self._examiner
        self._table("One sentence", SINGLE, examiner.single)
        self._table("Words in no order", DISORDERED, examiner.disordered, timed=False)
        for seconds, count in MANY.items():
            self._table(f"Many sentences with pauses, {seconds:.0f} s", count, partial(examiner.many, seconds))
        self._table("One sentence, then 6 s of silence", TRAILING, examiner.trailing, timed=False)
        self._table("Cut off in mid-word", CUT, examiner.cut, timed=False)
        self._print_times()
        self._languages()
        self._nothing()

    def clips(self, folder: Path) -> None:
        """Print how each clip of a folder is heard."""
        self._times.clear()
        print(f"\n## Clips: words wrong\n\n| clip | words | {' | '.join(EARS)} |\n|---|---|{'---|' * len(EARS)}")
        for name, question in questions(folder).items():
            scores = [self._score([question], ear) for ear in EARS.values()]
            self._time([question])
            print(f"| {name} | {scores[0].words} | {' | '.join(str(score.errors) for score in scores)} |", flush=True)
        self._print_times()

    def _count(self, count: int) -> int:
        return max(1, round(count * self._size))

    def _table(self, title: str, count: int, draw: Callable[[str, str], Question], *, timed: bool = True) -> None:
        print(f"\n## {title}: word error rate\n")
        print(f"| speaker | words | {' | '.join(EARS)} | noise, off, fitting |\n|---|---|{'---|' * (len(EARS) + 1)}")
        for speaker in SPEAKERS:
            asked = [draw(*speaker) for _ in range(self._count(count))]
            noisy = [self._examiner.noisy(question) for question in asked]
            scores = [self._score(asked, ear) for ear in EARS.values()]
            if timed:
                self._time(asked)
            scores.append(self._score(noisy, (False, None)))
            cells = " | ".join(f"{score.rate:.1%}" for score in scores)
            print(f"| {' '.join(speaker)} | {scores[0].words} | {cells} |", flush=True)

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

    def _print_times(self) -> None:
        print("\n## Word starts: error in ms\n")
        print("| method | words | median | 90th percentile | bias |\n|---|---|---|---|---|")
        for method, errors in self._times.items():
            off = np.array(errors) * 1000
            size = np.abs(off)
            middle, most = np.percentile(size, [50, 90])
            print(f"| {method} | {len(off)} | {middle:.0f} | {most:.0f} | {np.median(off):+.0f} |")

    def _languages(self) -> None:
        print("\n## Language detected right\n")
        for speaker in SPEAKERS[:4]:
            asked = [self._examiner.single(*speaker) for _ in range(self._count(100))]
            right = sum(self._listener.detect(question.sound) == question.language for question in asked)
            print(f"- {' '.join(speaker)}: {right} of {len(asked)}", flush=True)

    def _nothing(self) -> None:
        print("\n## Windows without speech in which words are heard\n")
        for kind in ("silence", "noise", "music"):
            for timestamps in (False, True):
                heard = [
                    self._listener.hear(self._examiner.nothing(kind, seconds), "en", timestamps=timestamps)
                    for seconds in np.linspace(1, 29, self._count(40))
                ]
                wrong = sum(any(plain(word.text) for word in words) for words in heard)
                print(f"- {kind}, timestamps {'on' if timestamps else 'off'}: {wrong} of {len(heard)}")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.training.evaluate", description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", help="ggml file (default: the bundled one)")
    parser.add_argument("--size", type=float, default=1.0, help="share of the questions (default: %(default)s)")
    parser.add_argument("--clips", type=Path, metavar="FOLDER", help="hear these instead (see models.training.clips)")
    arguments = parser.parse_args()
    with closing(Evaluation(arguments.model or find(BUNDLED).path, arguments.size)) as evaluation:
        if arguments.clips:
            evaluation.clips(arguments.clips)
        else:
            evaluation.run()


if __name__ == "__main__":
    main()

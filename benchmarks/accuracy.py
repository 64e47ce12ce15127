"""What does streaming do to the words? `python -m benchmarks.accuracy --help`.

The transcript of every recorded clip and of some conversations, streamed at 1x, against what was said; and the same
model offline on the same audio (`benchmarks.offline`), in the same run. Words are compared as the engine compares them:
without case and punctuation.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from benchmarks import offline, plots, show
from benchmarks.crowd import agendas, spoken, talk
from benchmarks.options import parser, run
from benchmarks.score import score
from benchmarks.summary import Summary, summarise

if TYPE_CHECKING:
    import argparse

    from benchmarks.client import Journal
    from benchmarks.options import Bench

MODULE: Final = "benchmarks.accuracy"


def measure(asked: Bench, arguments: argparse.Namespace) -> None:
    """Stream, decode offline, save and show. Raises `SubjectError` or `ModelError`."""
    plans = agendas("clips", 1, seconds=0.0, connections=0)
    plans += agendas("conversation", 1, seconds=arguments.seconds, connections=arguments.conversations)
    speeches = spoken(plans)
    audio = sum(speech.seconds for speech in speeches)
    journals: list[Journal] = []
    with asked.subject() as subject, show.progress("streaming at 1x, one at a time", audio) as advance:
        for plan in plans:
            journals += trio.run(partial(talk, subject.url, [plan], language=asked.language, on_seconds=advance))
    summary = summarise([score(journal) for journal in journals])
    figures: dict[str, object] = {"audio_seconds": round(audio, 1), "streaming": summary.figures()}
    rows = show.summary_rows(summary)
    rates = {"streaming": _edits(summary)}
    if asked.url is None:
        with show.progress("offline", audio) as advance:
            once = offline.decode(asked.model_path, asked.audio_ctx_floor, speeches, on_seconds=advance)
        found = once.alignments(speeches)
        errors = sum(each.wrong + len(each.missing) + each.invented for each in found)
        said = sum(len(list(speech.words)) for speech in speeches)
        figures["offline_word_error_rate"] = round(errors / said, 4)
        rows.append(("word error rate offline, the same model", f"{errors / said:.1%}", "", "", f"{errors} of {said}"))
        rates["offline"] = {"wrong, missing or invented": 100 * errors / said}
    rows.append(("word error rate streaming", f"{summary.word_error_rate:.1%}", "", "", ""))
    per_speech = {journal.speech.name: summarise([score(journal)]).word_error_rate for journal in journals}
    path = asked.result("accuracy", figures, {"word_error_rate_by_connection": per_speech}).save(asked.folder)
    plots.stacked(path.with_suffix(".png"), f"Word errors: {asked.label}", rates, "errors per 100 words said")
    show.table(f"Accuracy: {asked.label}, one stream at 1x", ("", "median", "p95", "worst", "count"), rows)
    print(path)


def _edits(summary: Summary) -> dict[str, float]:
    said = max(1, summary.said) / 100
    return {"wrong": summary.wrong / said, "missing": summary.missing / said, "invented": summary.invented / said}


def main() -> int:
    """Run from the command line."""
    options = parser(MODULE, "Word errors and word times of a stream at 1x, against the same model offline.")
    options.add_argument("--conversations", type=int, default=4, help="conversations after the clips")
    options.add_argument("--seconds", type=float, default=60.0, help="length of each conversation")
    return run(options, measure)


if __name__ == "__main__":
    sys.exit(main())

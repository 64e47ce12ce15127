"""What a client's journal says of the server. Pure.

Latency of a word: the time from which it stands in every later output, minus the time at which its last sample was
sent, inference included. It is the computation-aware latency of simultaneous translation (Ma et al. 2020, SimulEval,
section 3; the IWSLT evaluations since 2021), taken for every word apart instead of averaged, and counted to where a
word stands for good, since an output may be revised (Arivazhagan et al. 2020, Re-translation versus Streaming).

On a stream paced at 1x a sample is sent with the rest of its frame, when the frame's last sample has been spoken. A
server that keeps its client from sending does not become quicker by it: the time counts at which the frame was due.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from benchmarks.alignment import align, standing
from benchmarks.speech import sent_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.client import Journal, Output


@dataclass(frozen=True, slots=True)
class Latency:
    """Of a word, or of the last word of a final: when its last sample was sent, and how much later it stood (s)."""

    sent: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Score:
    """One connection. Times in seconds.

    `said`, `heard`: how many words. `wrong`, `missing`, `invented`: the edits between them; `longest_gap`: most words
    missing in a row. `shown`: words in the last output of every utterance. `taken_back`: words shown in an output that
    do not stand in the next. `words`, `finals`: latency of the words heard as said, and of the finals that came before
    `eof`; `last_final`: of the final that `eof` brought. `start_errors`: how far a word's start in a final is from the
    truth. `partial_intervals`: between two outputs of an utterance. `failure`: why the stream did not end well.
    """

    said: int
    heard: int
    wrong: int
    missing: int
    longest_gap: int
    invented: int
    shown: int
    taken_back: int
    words: tuple[Latency, ...]
    finals: tuple[Latency, ...]
    last_final: float | None
    eof_to_id: float | None
    start_errors: tuple[float, ...]
    partial_intervals: tuple[float, ...]
    held_up: float
    failure: str | None


def score(journal: Journal) -> Score:
    """Judge a paced stream against what was said in it."""
    said = list(journal.speech.words)
    finals = [output for output in journal.outputs if output.final]
    heard = [word for final in finals for word in final.words]
    alignment = align(heard, (word.text for word in said))
    stands = _stands(journal.outputs)
    # The last frame may be shorter, and leaves with the last sample.
    sent = [min(sent_at(word.end), journal.speech.seconds) for word in said]
    words = tuple(Latency(sent[j], stands[i] - sent[j]) for i, j in alignment.pairs)
    starts = _starts(finals)
    at_pauses, at_eof = _final_latencies(finals, sent, dict(alignment.pairs), journal.eof_at)
    shown, taken_back = _revisions(journal.outputs)
    return Score(
        said=len(said),
        heard=len(heard),
        wrong=alignment.wrong,
        missing=len(alignment.missing),
        longest_gap=_longest_run(alignment.missing),
        invented=alignment.invented,
        shown=shown,
        taken_back=taken_back,
        words=words,
        finals=at_pauses,
        last_final=at_eof,
        eof_to_id=None if journal.id_at is None or journal.eof_at is None else journal.id_at - journal.eof_at,
        start_errors=tuple(abs(start - said[j].start) for i, j in alignment.pairs if (start := starts[i]) is not None),
        partial_intervals=tuple(
            later.at - earlier.at for utterance in utterances(journal.outputs) for earlier, later in pairwise(utterance)
        ),
        held_up=journal.held_up,
        failure=journal.failure or (None if journal.id_at is not None else "no export ID came"),
    )


def utterances(outputs: list[Output]) -> Iterator[list[Output]]:
    """The outputs, cut behind every final; what follows the last one has none."""
    current: list[Output] = []
    for output in outputs:
        current.append(output)
        if output.final:
            yield current
            current = []
    if current:
        yield current


def _stands(outputs: list[Output]) -> list[float]:
    """For every word of the finals, the time from which it stands in every later output."""
    times: list[float] = []
    for utterance in utterances(outputs):
        final = utterance[-1]
        if not final.final:
            continue
        since = [final.at] * len(final.words)
        open_words = set(range(len(final.words)))
        for output in reversed(utterance[:-1]):
            open_words &= {later for _, later in standing(output.words, final.words)}
            for index in open_words:
                since[index] = output.at
        times += since
    return times


def _starts(finals: list[Output]) -> list[float | None]:
    return [start for final in finals for start in (final.starts or [None] * len(final.words))]


def _final_latencies(
    finals: list[Output], sent: list[float], truth: dict[int, int], eof_at: float | None
) -> tuple[tuple[Latency, ...], float | None]:
    """Of each final that holds a word heard as said, counted from its last such word; and of the one after `eof`."""
    at_pauses: list[Latency] = []
    at_eof: float | None = None
    begin = 0
    for final in finals:
        known = [truth[i] for i in range(begin, begin + len(final.words)) if i in truth]
        begin += len(final.words)
        if known:
            last = sent[known[-1]]
            if eof_at is None or final.at < eof_at:
                at_pauses.append(Latency(last, final.at - last))
            else:
                at_eof = final.at - last
    return tuple(at_pauses), at_eof


def _revisions(outputs: list[Output]) -> tuple[int, int]:
    """Words of the finals, and how often a word that was shown did not stand in the next output."""
    shown = taken_back = 0
    for utterance in utterances(outputs):
        for earlier, later in pairwise(utterance):
            taken_back += len(earlier.words) - len(standing(earlier.words, later.words))
        shown += len(utterance[-1].words)
    return shown, taken_back


def _longest_run(indices: tuple[int, ...]) -> int:
    longest = run = 0
    for before, index in pairwise((-2, *indices)):
        run = run + 1 if index == before + 1 else 1
        longest = max(longest, run)
    return longest

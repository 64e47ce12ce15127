"""What a person sees of a benchmark: progress while it runs, and a table at its end."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from benchmarks.summary import Spread, Summary


@contextmanager
def progress(what: str, seconds: float) -> Iterator[Callable[[float], None]]:
    """A bar on standard error; yields what is to be told how much further the work has come."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=seconds)
        yield lambda done: bar.advance(task, done)


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table to standard output; the first column is text, the others are figures."""
    made = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        made.add_column(column, justify="right" if index else "left")
    for row in rows:
        made.add_row(*row)
    console = Console()
    # In a file or a pipe there is no width to keep to.
    (console if console.is_terminal else Console(width=160)).print(made)


def seconds(value: Spread | None) -> tuple[str, str, str, str]:
    """Median, 95th percentile, worst and count."""
    if value is None:
        return ("-", "-", "-", "0")
    return (f"{value.median:.2f} s", f"{value.p95:.2f} s", f"{value.worst:.2f} s", str(value.count))


def summary_rows(summary: Summary) -> list[tuple[str, ...]]:
    """The rows that every streaming benchmark shows."""
    said = max(1, summary.said)
    return [
        ("word stands for good, after it was said", *seconds(summary.word_latency)),
        ("final, after its last word", *seconds(summary.final_latency)),
        ("last final, after the last word (eof sent)", *seconds(summary.last_final_latency)),
        ("eof to export ID", *seconds(summary.eof_to_id)),
        ("between outputs of an utterance", *seconds(summary.partial_interval)),
        ("error of word starts (second figure: p90)", *_start_error(summary.word_start_error)),
        ("words wrong", f"{summary.wrong / said:.1%}", "", "", f"{summary.wrong} of {summary.said}"),
        ("words never delivered", f"{summary.missing / said:.1%}", "", "", f"{summary.missing} of {summary.said}"),
        ("words invented", f"{summary.invented / said:.1%}", "", "", str(summary.invented)),
        ("words taken back, per 100", f"{summary.taken_back_per_100:.1f}", "", "", ""),
        ("streams that failed", str(len(summary.failures)), "", "", f"of {summary.connections}"),
    ]


def _start_error(value: Spread | None) -> tuple[str, str, str, str]:
    if value is None:
        return ("-", "-", "-", "0")
    median, p90, worst = (f"{part * 1000:.0f} ms" for part in (value.median, value.p90, value.worst))
    return (median, p90, worst, str(value.count))

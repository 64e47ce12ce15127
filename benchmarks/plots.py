"""The plots, drawn with matplotlib without a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.course import Point
    from benchmarks.overload import Overload
    from benchmarks.score import Latency
    from benchmarks.summary import Spread


def latency(path: Path, title: str, words: Sequence[Latency], finals: Sequence[Latency]) -> None:
    """Latency over the stream, and how many words stand after how long."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for latencies, label in ((words, "words"), (finals, "finals")):
        left.plot([one.sent for one in latencies], [one.seconds for one in latencies], ".", alpha=0.6, label=label)
        ordered = sorted(one.seconds for one in latencies)
        right.step(ordered, [(rank + 1) / len(ordered) for rank in range(len(ordered))], where="post", label=label)
    _axes(left, "seconds into the connection", "latency (s)")
    left.set_ylim(bottom=min(0.0, left.get_ylim()[0]))
    _axes(right, "latency (s)", "share that stands by then")
    figure.savefig(path, dpi=120)


def capacity(
    path: Path,
    title: str,
    probes: Sequence[tuple[int, Spread | None]],
    limit: float,
    beyond: Overload | None,
) -> None:
    """Latency against streams, and what one stream saw of an overload."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(1, 1 if beyond is None else 2, squeeze=False)[0]
    known = [(streams, latency) for streams, latency in probes if latency is not None]
    for name in ("median", "p95", "worst"):
        panels[0].plot([streams for streams, _ in known], [getattr(one, name) for _, one in known], "o-", label=name)
    panels[0].axhline(limit, color="grey", linestyle="--", label="limit")
    panels[0].set_yscale("log")
    _axes(panels[0], "streams at 1x", "word latency (s)")
    if beyond is not None:
        panels[1].plot([one.sent for one in beyond.words], [one.seconds for one in beyond.words], ".", label="words")
        panels[1].axvspan(*beyond.load, alpha=0.15, label=f"{beyond.streams} streams more")
        _axes(panels[1], "seconds into one stream", "word latency (s)")
    figure.savefig(path, dpi=120)


def turns(path: Path, title: str, measured: Mapping[int, Sequence[float]]) -> None:
    """How many turns of the event loop were longer than so much; `measured`: by streams, in seconds, in order."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots()
    for streams, found in measured.items():
        counts = range(len(found), 0, -1)
        axes.step([1000 * turn for turn in found], counts, where="post", label=f"{streams} streams")
    axes.set_xscale("log")
    axes.set_yscale("log")
    _axes(axes, "length of a turn (ms)", "turns at least as long")
    figure.savefig(path, dpi=120)


def memory(path: Path, title: str, seen: Sequence[tuple[float, float]]) -> None:
    """Resident memory (MiB) against audio sent (s)."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots()
    axes.plot([sent / 60 for sent, _ in seen], [mib for _, mib in seen], label="resident")
    axes.set_ylim(bottom=0)
    _axes(axes, "minutes of audio sent", "MiB")
    figure.savefig(path, dpi=120)


def resources(path: Path, title: str, parts: Mapping[str, Sequence[Point]]) -> None:
    """Memory, threads and open files of a process, against what had been done; a column for each part."""
    figure = Figure(figsize=(5.5 * len(parts), 7), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(3, len(parts), squeeze=False, sharex="col", sharey="row")
    for column, (what, points) in enumerate(parts.items()):
        done = [point.done for point in points]
        for row, (name, unit) in enumerate((("mib", "resident MiB"), ("threads", "threads"), ("files", "open files"))):
            axes = panels[row][column]
            axes.plot(done, [getattr(point, name) for point in points])
            axes.set_ylabel(unit if column == 0 else "")
            axes.grid(alpha=0.3)
        panels[-1][column].set_xlabel(what)
    for row in panels:
        row[0].set_ylim(bottom=0)  # of the whole row, once all is in it
    figure.savefig(path, dpi=120)


def stacked(path: Path, title: str, bars: Mapping[str, Mapping[str, float]], unit: str) -> None:
    """Horizontal bars, each the sum of its parts; parts are named in the legend."""
    figure = Figure(figsize=(9, 1.6 + 0.5 * len(bars)), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots()
    names = list(bars)
    starts = [0.0] * len(names)
    for part in dict.fromkeys(part for parts in bars.values() for part in parts):
        widths = [bars[name].get(part, 0.0) for name in names]
        axes.barh(names, widths, left=starts, label=part.replace("_", " "))
        starts = [start + width for start, width in zip(starts, widths, strict=True)]
    axes.invert_yaxis()
    _axes(axes, unit, "")
    figure.savefig(path, dpi=120)


def _axes(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.legend()

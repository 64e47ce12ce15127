"""The server's figures for Prometheus, as text: made anew of a frozen snapshot at each scrape, nothing is global."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from prometheus_client import Metric

    from server.admission.entrance import EntranceStatistics
    from server.inference.pool import PoolStatistics
    from server.monitoring.tally import Distribution, TallyStatistics

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that `/metrics` shows of one moment, but the process and the disk; see `docs/operating.md`."""

    ready: bool
    entrance: EntranceStatistics
    pool: PoolStatistics
    tally: TallyStatistics


def exposition(snapshot: Snapshot, data_dir: Path) -> bytes:
    """Write the snapshot in Prometheus' text format, with figures of the process and of the disk of `data_dir`.

    Asks the operating system, so on the event loop it is called in a thread.
    """
    registry = CollectorRegistry()
    registry.register(_Server(snapshot, data_dir))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Server(Collector):
    def __init__(self, snapshot: Snapshot, data_dir: Path) -> None:
        self._now = snapshot
        self._data_dir = data_dir

    def collect(self) -> Iterator[Metric]:
        now, tally = self._now, self._now.tally
        yield _gauge("ready", "Whether a new stream would be taken.", float(now.ready))
        yield _gauge("streams", "Streams that are open.", now.entrance.streams)
        yield _gauge(
            "streams_held", "Streams that this host holds, by what they were measured to cost.", now.entrance.held
        )
        yield _gauge("clients_in_line", "Clients that wait for a stream.", now.entrance.waiting)
        yield _counter("streams_admitted", "Streams that were let in.", now.entrance.admitted)
        yield _counters("streams_ended", "Streams that have ended, by what became of the export.", "as", tally.ended)
        yield _counters("refused", "Handshakes that were refused, by reason.", "reason", tally.refused)
        yield _counter("audio_seconds", "Audio taken in.", tally.audio)
        yield _counter("words", "Words of finals.", tally.words)
        yield _counter("partials", "Partials said.", tally.partials)
        yield _counter("partials_dropped", "Partials that a newer one replaced before they were sent.", tally.conflated)
        yield _counters(
            "faults",
            "What went wrong and was lived with, by kind.",
            "kind",
            {**tally.faults, **_inferences(now.pool.faults)},
        )
        yield _histogram("inference_seconds", "From the start of an inference to its end.", tally.inference)
        yield _histogram(
            "word_latency_seconds", "From when a word's end was heard to when it stood in a partial.", tally.stable_word
        )
        yield _histogram("final_latency_seconds", "From when the last word's end was heard to its final.", tally.final)
        yield _histogram("event_loop_lag_seconds", "By how much the event loop was late.", tally.lag)
        yield _gauge("slots", "Inferences that may run at once.", now.pool.slots)
        yield _gauge("slots_busy", "Inferences that run.", now.pool.busy)
        yield _gauge("queue_length", "Streams that wait for a slot.", now.pool.waiting)
        yield _gauge("queue_age_seconds", "How long the one that waits longest has waited.", now.pool.waited)
        factor = tally.inference.sum / tally.audio if tally.audio else 0.0
        yield _gauge("real_time_factor", "Seconds of inference a second of audio, since the start.", factor)
        yield from self._disk()

    def _disk(self) -> Iterator[Metric]:
        try:
            disk = shutil.disk_usage(self._data_dir)
        except OSError:
            return  # no figure rather than a wrong one; the alert is on absence
        yield _gauge("disk_free_bytes", "Room for exports on the disk of the data directory.", disk.free)
        yield _gauge("disk_size_bytes", "Size of that disk.", disk.total)


def _inferences(faults: Mapping[str, int]) -> dict[str, int]:
    return {f"inference_{kind}": count for kind, count in faults.items()}


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"trioscribe_{name}", meaning, value=value)


def _counter(name: str, meaning: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"trioscribe_{name}", meaning, value=value)


def _counters(name: str, meaning: str, label: str, values: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"trioscribe_{name}", meaning, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def _histogram(name: str, meaning: str, values: Distribution) -> HistogramMetricFamily:
    bounds = [*map(str, values.bounds), "+Inf"]
    return HistogramMetricFamily(
        f"trioscribe_{name}",
        meaning,
        buckets=list(zip(bounds, accumulate(values.counts), strict=True)),
        sum_value=values.sum,
    )

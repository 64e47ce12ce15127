"""The figures for Prometheus: what is counted, and that its own parser reads it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import prometheus_client
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock  # noqa: TC002 - a fixture's type, looked at when the tests are collected

from engine.scripted import ScriptedRecognizer
from server.admission.entrance import EntranceStatistics
from server.inference.pool import InferencePool, PoolStatistics
from server.inference.scheduler import PARTIAL_PATIENCE
from server.monitoring.metrics import Snapshot, exposition
from server.monitoring.tally import Histogram, Tally
from server.streams.outbox import Outbox
from tests.conftest import PATIENCE, running
from tests.speech import clips
from tests.visitors import RefusedHandshake, Visitor

DOCUMENT = Path(__file__).parents[1] / "docs" / "operating.md"
SPEECH = {clip.name: clip.pcm for clip in clips()}


def figures(text: str) -> dict[str, float]:
    """Each figure by its name, with labels as they are written."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


async def test_a_stream_shows_in_the_figures(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        visitor = Visitor(client.app)
        status, headers, body = await visitor.ask("/metrics")
        assert status == 200
        assert headers["Content-Type"].startswith("text/plain; version=")
        before = figures(body.decode())
        assert before["trioscribe_audio_seconds_total"] == before["trioscribe_words_total"] == 0
        assert before["trioscribe_ready"] == 1

        async with visitor.stream() as ws:
            await ws.send_message(SPEECH["en-coffee"])
            assert figures((await visitor.ask("/metrics"))[2].decode())["trioscribe_streams"] == 1
        outcome = await visitor.talk(SPEECH["en-coffee"], "eof")
        with pytest.raises(RefusedHandshake):
            await visitor.talk(headers={"Origin": "https://evil.example"})
        await client.all_streams_ended()

        after = figures((await visitor.ask("/metrics"))[2].decode())
        seconds = len(SPEECH["en-coffee"]) / 32_000
        assert after["trioscribe_audio_seconds_total"] == pytest.approx(2 * seconds)
        assert after["trioscribe_streams"] == 0
        assert after["trioscribe_streams_ended_total{as=stored}"] == 2
        assert after["trioscribe_refused_total{reason=origin_not_allowed}"] == 1
        words = after["trioscribe_words_total"]
        assert words >= len(outcome.words) > 0
        assert after["trioscribe_word_latency_seconds_count"] == words
        assert after["trioscribe_final_latency_seconds_count"] >= len(outcome.finals)
        assert after["trioscribe_inference_seconds_count"] >= 2
        spent = after["trioscribe_inference_seconds_sum"]
        assert after["trioscribe_real_time_factor"] == pytest.approx(spent / (2 * seconds))
        assert after["trioscribe_streams_admitted_total"] == 2
        assert after["trioscribe_streams_held"] >= 1
        assert after["trioscribe_slots"] >= 1
        assert after["trioscribe_queue_length"] == 0
        assert 0 < after["trioscribe_disk_free_bytes"] <= after["trioscribe_disk_size_bytes"]
        assert after["process_resident_memory_bytes"] > 0
        assert after["process_open_fds"] > 0


async def test_the_event_loop_is_watched_and_slots_fall_idle(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        watched = idle = False
        with trio.fail_after(PATIENCE):
            while not (watched and idle):  # it measures this host at first, in real threads
                now = figures((await client.get("/metrics")).decode())
                watched = now["trioscribe_event_loop_lag_seconds_count"] > 0
                idle = now["trioscribe_slots_busy"] == 0


def test_nothing_is_kept_outside_of_the_snapshot(tmp_path: Path) -> None:
    tally = Tally()
    tally.words = 7
    snapshot = Snapshot(True, EntranceStatistics(1, 0, 7, 3), PoolStatistics(2, 1, 3, 0.5), tally.statistics())
    tally.words = 8
    text = exposition(snapshot, tmp_path).decode()
    seen = figures(text)
    assert seen["trioscribe_words_total"] == 7
    assert (seen["trioscribe_queue_length"], seen["trioscribe_queue_age_seconds"]) == (3, 0.5)
    assert "trioscribe" not in prometheus_client.generate_latest().decode()
    # A disk that is gone gives no figure, and everything else is still there.
    seen = figures(exposition(snapshot, tmp_path / "gone").decode())
    assert "trioscribe_disk_free_bytes" not in seen
    assert seen["trioscribe_words_total"] == 7


def test_every_figure_is_in_the_documentation(tmp_path: Path) -> None:
    snapshot = Snapshot(True, EntranceStatistics(0, 0, 1, 0), PoolStatistics(1, 0, 0), Tally().statistics())
    document = DOCUMENT.read_text()
    for family in text_string_to_metric_families(exposition(snapshot, tmp_path).decode()):
        if family.name.startswith("trioscribe_"):
            name = family.name + ("_total" if family.type == "counter" else "")
            assert f"`{name}`" in document or f"`{name}{{" in document, name


def test_a_histogram_counts_up_to_and_with_each_bound() -> None:
    histogram = Histogram((0.1, 1.0))
    for value in (0.0, 0.1, 0.11, 1.0, 5.0):
        histogram.observe(value)
    seen = histogram.statistics()
    assert seen.counts == (2, 2, 1)
    assert seen.sum == pytest.approx(6.21)


def test_only_partials_that_nobody_took_are_dropped_ones() -> None:
    tally = Tally()
    outbox = Outbox(tally)
    for frame in ("a", "b"):
        outbox.put_partial(frame)
        assert outbox.take_nowait() == frame
    assert tally.conflated == 0
    for frame in ("c", "d", "e"):
        outbox.put_partial(frame)
    assert tally.conflated == 2
    assert outbox.take_nowait() == "e"


async def test_the_age_of_the_queue_is_that_of_who_waits_longest(autojump_clock: MockClock) -> None:
    del autojump_clock
    pool = InferencePool([ScriptedRecognizer([])], cores=1)
    assert pool.statistics().waited == 0

    async def wait(*, final: bool) -> None:
        async with pool.slot(final=final):
            pass

    async with trio.open_nursery() as nursery:
        async with pool.slot(final=True):
            nursery.start_soon(partial(wait, final=False))
            await trio.sleep(PARTIAL_PATIENCE / 2)
            nursery.start_soon(partial(wait, final=True))
            await trio.sleep(2.0 - PARTIAL_PATIENCE / 2)
            assert pool.statistics().waited == pytest.approx(2.0)
    assert pool.statistics().waited == 0

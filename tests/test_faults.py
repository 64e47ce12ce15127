"""Inferences that throw, hang or talk nonsense; disks that are full; signals: the stream goes on, and it is counted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import trio
from trio.testing import MockClock  # noqa: TC002 - a fixture's type, looked at when the tests are collected

from engine.errors import ModelError
from engine.scripted import ScriptedRecognizer
from engine.types import SAMPLE_RATE, Hypothesis, Window, Word
from models.library import find
from server.inference.pool import InferencePool
from server.recognition import load_pool
from server.settings.table import Settings
from tests.conftest import running
from tests.processes import Speaker, serving
from tests.speech import clips
from tests.test_admission import refused
from tests.virtual_session import WORDS, Talker, VirtualPool, at_speech_speed, serve, spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SPEECH = {clip.name: clip.pcm for clip in clips()}
WINDOW = Window(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE, "en")


class Broken:
    """Does something else than it should, every other time or always."""

    def __init__(self, recognizer: ScriptedRecognizer, fault: Callable[[Window], Hypothesis], every: int = 2) -> None:
        self._recognizer = recognizer
        self._fault = fault
        self._every = every
        self._calls = 0

    def recognize(self, window: Window, *, threads: int, should_abort: Any) -> Hypothesis:
        self._calls += 1
        if self._calls % self._every == 0:
            return self._fault(window)
        return self._recognizer.recognize(window, threads=threads, should_abort=should_abort)

    def close(self) -> None:
        pass


def raises(window: Window) -> Hypothesis:
    raise ZeroDivisionError(window.start)


def not_a_number(window: Window) -> Hypothesis:
    return Hypothesis((Word(" x", window.start, window.end, float("nan")),), "en")


def before_the_window(window: Window) -> Hypothesis:
    return (
        Hypothesis((Word(" early", max(0, window.start - 1), window.end, 0.9),), "en")
        if window.start
        else raises(window)
    )


def after_the_window(window: Window) -> Hypothesis:
    return Hypothesis((Word(" late", window.end, window.end + 1, 0.9),), "en")


def nothing(window: Window) -> Hypothesis:
    del window
    return Hypothesis((), "en")


@pytest.mark.parametrize("fault", [raises, not_a_number, before_the_window, after_the_window])
async def test_a_fault_now_and_then_costs_no_word_and_is_counted(
    autojump_clock: MockClock, fault: Callable[[Window], Hypothesis]
) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS)
    talker = Talker(*at_speech_speed(pcm, "eof"))
    pool = VirtualPool(Broken(ScriptedRecognizer(script), fault), seconds=0.1)
    await serve(talker, pool)
    assert talker.words == WORDS
    assert sum(pool.statistics().faults.values()) > 3


async def test_hearing_nothing_now_and_then_is_no_fault_and_ends_nothing(autojump_clock: MockClock) -> None:
    del autojump_clock
    pcm, script = spoken(WORDS)
    talker = Talker(*at_speech_speed(pcm, "eof"))
    pool = VirtualPool(Broken(ScriptedRecognizer(script), nothing, every=3), seconds=0.1)
    recorder = await serve(talker, pool)
    assert talker.code == 1000
    assert recorder.pcm == pcm
    assert pool.statistics().faults == {}


async def test_a_loop_is_cut_and_counted(autojump_clock: MockClock) -> None:
    del autojump_clock

    def loop(window: Window) -> Hypothesis:
        step = len(window.samples) // 30
        words = (Word(" again", window.start + i * step, window.start + (i + 1) * step, 0.9) for i in range(30))
        return Hypothesis(tuple(words), "en")

    pcm, script = spoken(WORDS)
    talker = Talker(*at_speech_speed(pcm, "eof"))
    pool = VirtualPool(Broken(ScriptedRecognizer(script), loop, every=1), seconds=0.1)
    await serve(talker, pool)
    assert 0 < len(talker.words) < 30
    assert pool.statistics().faults["loop"] > 0


class Hanging:
    """Does not return before it is let go, and does not ask whether it should stop."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.closed = threading.Event()

    def recognize(self, window: Window, *, threads: int, should_abort: Any) -> Hypothesis:
        del window, threads, should_abort
        self.go.wait()
        return Hypothesis((), "en")

    def close(self) -> None:
        assert self.go.is_set(), "its thread still uses it"
        self.closed.set()


async def test_a_hung_recognizer_is_left_behind_and_replaced_and_freed_when_it_returns() -> None:
    hanging = Hanging()
    pool = InferencePool([hanging], cores=1, load=lambda: ScriptedRecognizer([]), timeout=0.1)
    with trio.fail_after(10):
        async with pool.slot(final=True) as slot:
            with pytest.raises(ModelError, match="was given up"):
                await slot.recognize(WINDOW)
        for _ in range(3):
            async with pool.slot(final=True) as slot:
                assert await slot.recognize(WINDOW) == Hypothesis((), "en")
        assert not hanging.closed.is_set()
        hanging.go.set()
        assert await trio.to_thread.run_sync(hanging.closed.wait, 10)
    statistics = pool.statistics()
    assert (statistics.slots, statistics.busy) == (1, 0)
    assert (statistics.faults["hung"], statistics.faults["replaced"]) == (1, 1)
    pool.close()


async def test_who_is_cancelled_does_not_wait_for_a_hung_thread_for_ever() -> None:
    hanging = Hanging()
    pool = InferencePool([hanging], cores=1, load=lambda: ScriptedRecognizer([]), timeout=0.2)
    with trio.fail_after(10):
        with trio.move_on_after(0.01):
            async with pool.slot(final=True) as slot:
                await slot.recognize(WINDOW)
        async with pool.slot(final=True) as slot:
            await slot.recognize(WINDOW)
    hanging.go.set()
    pool.close()


async def test_a_slot_without_a_replacement_is_tried_again() -> None:
    attempts: list[int] = []

    def load() -> ScriptedRecognizer:
        attempts.append(1)
        if len(attempts) < 3:
            raise ModelError("no memory")
        return ScriptedRecognizer([])

    hanging = Hanging()
    pool = InferencePool([hanging], cores=1, load=load, timeout=0.1)
    outcomes = []
    with trio.fail_after(10):
        for _ in range(4):
            async with pool.slot(final=True) as slot:
                try:
                    await slot.recognize(WINDOW)
                    outcomes.append(True)
                except ModelError:
                    outcomes.append(False)
    assert outcomes == [False, False, False, True]
    hanging.go.set()
    pool.close()


async def test_what_cannot_be_loaded_again_leaves_the_others_at_work() -> None:
    files = ["damaged", "missing", "whole"]

    def load() -> ScriptedRecognizer:
        if (file := files.pop(0)) != "whole":
            raise OSError(file)  # not even an error of ours
        return ScriptedRecognizer([])

    hanging = Hanging()
    pool = InferencePool([ScriptedRecognizer([]), hanging], cores=2, load=load, timeout=0.1)
    with trio.fail_after(10):
        async with pool.slot(final=True) as one:
            with pytest.raises(ModelError, match="was given up"):
                await one.recognize(WINDOW)
        hanging.go.set()
        for _ in range(2):
            async with pool.slot(final=True) as one, pool.slot(final=True) as other:
                assert await one.recognize(WINDOW) == Hypothesis((), "en")
                with pytest.raises(ModelError, match="failed"):
                    await other.recognize(WINDOW)
        assert pool.statistics().faults == {"slow": 1, "hung": 1, "failed": 3}
        async with pool.slot(final=True) as one, pool.slot(final=True) as other:
            for slot in (one, other):
                assert await slot.recognize(WINDOW) == Hypothesis((), "en")
    assert pool.statistics().faults["replaced"] == 1
    pool.close()


async def test_a_model_file_that_is_damaged_at_run_time_is_refused_until_it_is_whole_again(tmp_path: Path) -> None:
    whole = find("trioscribe-en-de").path.read_bytes()
    path = tmp_path / "ggml-trioscribe-en-de-copy.bin"
    path.write_bytes(whole)
    settings = Settings(model=str(path), slots=1)
    with closing(await load_pool(settings, find(str(path)))) as pool:
        for damaged in (whole[:-1000], b""):
            path.write_bytes(damaged)
            with pytest.raises(ModelError, match="not a whole"):
                await pool.replacement()
        path.unlink()
        with pytest.raises(ModelError, match="no model file"):
            await pool.replacement()
        path.write_bytes(whole)
        (await pool.replacement()).close()


async def test_what_runs_in_the_background_makes_way_and_begins_again(autojump_clock: MockClock) -> None:
    del autojump_clock
    pool = VirtualPool(ScriptedRecognizer([]), seconds=1.0)
    done: dict[str, float] = {}
    start = trio.current_time()

    async def background() -> None:
        await pool.recognize_in_background(WINDOW)
        done["background"] = trio.current_time() - start

    async def live() -> None:
        await trio.sleep(0.9)
        async with pool.slot(final=False) as slot:
            await slot.recognize(WINDOW)
        done["live"] = trio.current_time() - start

    async with trio.open_nursery() as nursery:
        nursery.start_soon(background)
        nursery.start_soon(live)
    assert {name: round(at, 3) for name, at in done.items()} == {"live": 1.9, "background": 2.9}


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, of that size; skips the test where none can be made."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:  # noqa: S603
        pytest.skip("a small file system can be mounted by root alone, where that is allowed")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S603, S607


async def test_a_full_disk_ends_the_stream_with_a_reason_and_harms_no_old_export(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        async with running(disk, min_free_disk_mb=0) as client:
            old = await client.talk(SPEECH["en-coffee"], "eof")
            before = await client.get(f"/export/audio/{old.export_id}")
            outcome = await client.talk(*[bytes(32_000)] * 40)
            assert outcome.errors[0] == "storage"
            assert outcome.code == 1011
            await client.all_streams_ended()
            assert await client.get(f"/export/audio/{old.export_id}") == before
            assert json.loads(await client.get(f"/export/transcript/{old.export_id}")) == old.finals
            assert (await client.request("/health"))[0] == 200


async def test_a_stream_goes_on_without_a_recording_if_so_configured(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "300k") as disk:
        async with running(disk, min_free_disk_mb=0, storage_failure="continue") as client:
            outcome = await client.talk(bytes(640_000), SPEECH["en-coffee"], "eof")
            assert outcome.errors[0] == "storage"
            assert outcome.words[-1]["word"] == "tea?"
            assert outcome.code == 1011


async def test_nothing_is_begun_below_the_space_that_is_to_stay_free(tmp_path: Path) -> None:
    async with running(tmp_path, min_free_disk_mb=100_000_000) as client:
        status, headers, body = await refused(client)
        assert (status, body["error"]) == (503, "disk_full")
        assert "retry-after" in headers


async def test_sigterm_finishes_what_was_heard_and_leaves_with_0(tmp_path: Path) -> None:
    speaker = Speaker(SPEECH["en-letter"], speed=2)
    async with serving(tmp_path) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speaker.speak, server.port)
            await trio.sleep(1.5)
            server.process.terminate()
        assert await server.process.wait() == 0
    assert speaker.outcome.errors == ["shutting_down"]
    assert speaker.outcome.export_id == speaker.export_id
    meta = json.loads((tmp_path / "exports" / speaker.export_id / "meta.json").read_bytes())
    assert meta["state"] == "complete"


async def test_a_second_signal_ends_at_once_and_leaves_the_rest_to_the_next_start(tmp_path: Path) -> None:
    speaker = Speaker(SPEECH["de-unbroken"] * 5, speed=1_000)
    async with serving(tmp_path, "--grace-s", "600") as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speaker.speak, server.port)
            await trio.sleep(1.5)
            server.process.send_signal(signal.SIGINT)
            await trio.sleep(0.2)
            server.process.send_signal(signal.SIGINT)
        with trio.fail_after(20):
            assert await server.process.wait() == 0
    async with serving(tmp_path) as server:
        await server.settled(speaker.export_id, "recovered", "complete")
        finals = await server.finals(speaker.export_id)
        assert finals[: len(speaker.outcome.finals)] == speaker.outcome.finals

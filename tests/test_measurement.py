"""Measuring what the host holds while inferences fail: it is logged and tried again, and the server goes on."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import trio
from trio.testing import MockClock  # noqa: TC002 - a fixture's type, looked at when the tests are collected

from engine.errors import ModelError
from engine.whisper import WhisperRecognizer
from server.admission import measurement
from server.cli import main
from tests.conftest import Outcome, running
from tests.speech import clips
from tests.virtual_session import Loudness, VirtualPool

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from engine.types import Hypothesis, Window

COFFEE = next(clip.pcm for clip in clips() if clip.name == "en-coffee")
HOST = measurement.Host(processor="", cores=2, slots=2, model="failing", model_bytes=1, audio_ctx_floor=0)


def fail(*_: Any, **__: Any) -> Hypothesis:
    raise ModelError("the model has no memory left")


class Failing:
    """Fails each time; notes when, and tells when it has done so often enough."""

    def __init__(self, enough: int = 1) -> None:
        self.times: list[float] = []
        self.enough = trio.Event()
        self._times = enough

    def recognize(self, window: Window, *, threads: int, should_abort: Any) -> Hypothesis:
        self.times.append(trio.current_time())
        if len(self.times) == self._times:
            self.enough.set()
        return fail(window, threads, should_abort)

    def close(self) -> None:
        pass


async def test_a_measurement_that_fails_is_logged_and_nothing_kept(
    autojump_clock: MockClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    del autojump_clock
    pool = VirtualPool(Failing(), seconds=1.0, slots=2)
    bench = measurement.Bench(pool, Loudness, HOST, tmp_path)
    await bench.calibrate()
    assert caplog.messages == ["What this host holds could not be measured: the model has no memory left"]
    assert pool.meter.cost is None
    assert pool.statistics().busy == 0
    assert not (tmp_path / measurement.FILE).exists()


async def test_measurements_that_fail_grow_rare_but_never_rarer_than_one_an_hour(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    del autojump_clock
    failing = Failing(enough=12)
    bench = measurement.Bench(VirtualPool(failing, seconds=1.0), Loudness, HOST, tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.keep_up, lambda: True)
        await failing.enough.wait()
        nursery.cancel_scope.cancel()
    rests = [later - earlier for earlier, later in pairwise(failing.times)]
    assert rests == sorted(rests)
    assert rests[0] < 180
    assert 3_600 <= rests[-1] < 3_700


async def test_a_server_goes_on_whose_measurements_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(measurement, "DOUBT_SECONDS", 0.01)
    monkeypatch.setattr(measurement, "REST_SECONDS", 0.01)
    with monkeypatch.context() as broken:
        broken.setattr(WhisperRecognizer, "recognize", fail)
        async with running(tmp_path, slots=1) as client, client.open() as ws:
            with trio.fail_after(60):
                while caplog.text.count("could not be measured: the model has no memory left") < 3:
                    await trio.sleep(0.01)
            broken.undo()
            await ws.send_message(COFFEE)
            await ws.send_message("eof")
            outcome = Outcome()
            await client.read(ws, outcome)
    assert outcome.words[-1]["word"] == "tea?"
    assert outcome.code == 1000


def test_the_doctor_says_in_one_line_that_the_model_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(WhisperRecognizer, "recognize", fail)
    assert main(["doctor", "--data-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "trioscribe: the model has no memory left\n"

"""A recording on disk: true to the byte, whole whatever happens in the middle."""

from __future__ import annotations

import json
import resource
import signal
import sys
import wave
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import soundfile
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import StoreError
from server.exports.store import Store
from server.protocol import WireFinal, WireWord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.exports.recorder import Recorder

HELLO = WireFinal((WireWord(0.9, 0.5, 0.1, "Hallo"), WireWord(0.8, 0.9, 0.5, "Welt.")), " Hallo Welt.")


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    await store.prepare()
    return store


async def recording(store: Store, sample_rate: int = 16_000) -> Recorder:
    return await store.record(store.new_id(), sample_rate=sample_rate, model="tiny")


def folder(store: Store, recorder: Recorder) -> Path:
    return store.audio_path(recorder.export_id).parent


def tone(samples: int) -> bytes:
    return b"".join((n * 37 % 20_000 - 10_000).to_bytes(2, "little", signed=True) for n in range(samples))


async def test_audio_is_kept_as_it_came(store: Store) -> None:
    recorder = await recording(store, 48_000)
    sent = tone(100_000)
    for start in range(0, len(sent), 9_600):
        await recorder.audio(sent[start : start + 9_600])
    await recorder.complete(language="de")
    with wave.open(str(store.audio_path(recorder.export_id))) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (48_000, 1, 2)
        assert wav.readframes(wav.getnframes()) == sent
    assert store.audio_path(recorder.export_id).stat().st_size == 44 + len(sent)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=50_001), max_size=8))
def test_how_audio_is_cut_up_changes_nothing(tmp_path_factory: pytest.TempPathFactory, frames: list[bytes]) -> None:
    async def main() -> None:
        store = Store(tmp_path_factory.mktemp("data"))
        await store.prepare()
        recorder = await recording(store)
        for frame in frames:
            await recorder.audio(frame)
        export = await recorder.complete(language=None)
        sent = b"".join(frames)
        assert store.audio_path(recorder.export_id).read_bytes()[44:] == sent[: len(sent) // 2 * 2]
        assert export.samples == len(sent) // 2

    trio.run(main)


async def test_half_a_sample_at_the_end_is_dropped(store: Store) -> None:
    recorder = await recording(store)
    await recorder.audio(b"\x01\x02\x03")
    await recorder.complete(language=None)
    assert store.audio_path(recorder.export_id).read_bytes()[44:] == b"\x01\x02"


async def test_finals_are_lines_as_they_are_sent(store: Store) -> None:
    recorder = await recording(store)
    await recorder.final(HELLO)
    line = (folder(store, recorder) / "finals.jsonl").read_bytes()
    assert line == msgspec.json.encode(HELLO) + b"\n"
    await recorder.complete(language="de")


async def test_meta_tells_what_was_recorded(store: Store) -> None:
    recorder = await recording(store)
    await recorder.audio(tone(24_000))
    await recorder.final(HELLO)
    await recorder.final(HELLO)
    export = await recorder.complete(language="de")
    meta = json.loads((folder(store, recorder) / "meta.json").read_bytes())
    assert meta == msgspec.to_builtins(export)
    assert meta == {
        "id": recorder.export_id,
        "state": "complete",
        "created": meta["created"],
        "sample_rate": 16_000,
        "samples": 24_000,
        "duration": 1.5,
        "language": "de",
        "words": 4,
        "finals": 2,
        "model": "tiny",
        "owner": None,
        "format": 1,
    }


async def test_a_stream_without_audio_is_a_valid_export(store: Store) -> None:
    recorder = await recording(store)
    export = await recorder.complete(language=None)
    assert (export.state, export.samples, export.duration) == ("complete", 0, 0.0)
    with wave.open(str(store.audio_path(recorder.export_id))) as wav:
        assert wav.getnframes() == 0
    assert await store.finals(recorder.export_id) == []


async def test_audio_is_written_within_a_second_of_audio(store: Store) -> None:
    recorder = await recording(store)
    for _ in range(10):
        await recorder.audio(tone(1_600))
    assert store.audio_path(recorder.export_id).stat().st_size == 44 + 32_000
    await recorder.complete(language=None)


async def test_a_final_takes_the_audio_before_it_along(store: Store) -> None:
    recorder = await recording(store)
    await recorder.audio(tone(100))
    await recorder.final(HELLO)
    assert store.audio_path(recorder.export_id).stat().st_size == 44 + 200
    await recorder.complete(language=None)


async def test_a_live_recording_can_be_played(store: Store) -> None:
    recorder = await recording(store)
    await recorder.audio(tone(16_000))
    await recorder.flush()
    samples, sample_rate = soundfile.read(store.audio_path(recorder.export_id), dtype="int16")
    assert (len(samples), sample_rate) == (16_000, 16_000)
    assert samples.astype("<i2").tobytes() == tone(16_000)
    await recorder.complete(language=None)


async def test_cancelling_loses_no_audio(store: Store) -> None:
    recorder = await recording(store)
    for _ in range(5):
        with trio.CancelScope() as scope:
            scope.cancel()
            await recorder.audio(tone(16_000))
        assert scope.cancelled_caught
    await recorder.complete(language=None)
    assert store.audio_path(recorder.export_id).read_bytes()[44:] == tone(16_000) * 5


async def test_two_tasks_may_record_at_the_same_time(store: Store) -> None:
    recorder = await recording(store)

    async def hear() -> None:
        for _ in range(40):
            await recorder.audio(tone(16_000))

    async def say() -> None:
        for _ in range(40):
            await recorder.final(HELLO)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear)
        nursery.start_soon(say)
    export = await recorder.complete(language=None)
    assert (export.samples, export.finals, export.words) == (640_000, 40, 80)
    assert store.audio_path(recorder.export_id).read_bytes()[44:] == tone(16_000) * 40
    assert await store.finals(recorder.export_id) == [HELLO] * 40


async def test_an_ended_recording_takes_nothing_more(store: Store) -> None:
    recorder = await recording(store)
    first = await recorder.complete(language="de")
    with pytest.raises(StoreError, match="has ended"):
        await recorder.audio(b"\0\0")
    with pytest.raises(StoreError, match="has ended"):
        await recorder.final(HELLO)
    assert await recorder.complete(language="en") == first


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The operating system refuses to let files grow beyond `size`, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_keeps_what_was_written(store: Store) -> None:
    recorder = await recording(store)
    with files_of_at_most(44 + 40_000):
        await recorder.audio(tone(16_000))
        with pytest.raises(StoreError, match=r"failed: .*\. Free space"):
            await recorder.audio(tone(16_000))
        # Nothing piles up in memory, and nothing leaves a hole.
        with pytest.raises(StoreError):
            await recorder.audio(tone(16_000))
        with pytest.raises(StoreError):
            await recorder.final(HELLO)
        with pytest.raises(StoreError, match="cut short"):
            await recorder.complete(language="de")
    export = await store.find(recorder.export_id)
    assert (export.state, export.samples) == ("interrupted", 16_000)
    assert store.audio_path(recorder.export_id).read_bytes()[44:] == tone(16_000)


async def test_completing_can_be_tried_again_when_there_is_room(store: Store) -> None:
    recorder = await recording(store)
    await recorder.audio(tone(100))
    with files_of_at_most(44), pytest.raises(StoreError):
        await recorder.complete(language="de")
    assert (await store.find(recorder.export_id)).state == "live"
    export = await recorder.complete(language="de")
    assert (export.state, export.samples) == ("complete", 100)


@contextmanager
def without_meta(folder: Path) -> Iterator[None]:
    """Something lies where `meta.json` is written first: it cannot be, whoever tries, while all else can."""
    (folder / "meta.json.tmp").mkdir()
    try:
        yield
    finally:
        (folder / "meta.json.tmp").rmdir()


async def test_completing_that_fails_midway_leaves_nothing_twice_when_it_is_tried_again(store: Store) -> None:
    recorder = await recording(store)
    await recorder.audio(tone(100))
    with without_meta(folder(store, recorder)), pytest.raises(StoreError):
        await recorder.complete(language="de")
    export = await recorder.complete(language="de")
    assert (export.state, export.samples) == ("complete", 100)
    assert store.audio_path(recorder.export_id).read_bytes()[44:] == tone(100)


def open_files(folder: Path) -> list[str]:
    links = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return [link.name for link in links if link.is_relative_to(folder)]


async def test_a_recording_that_is_let_go_is_no_longer_live(store: Store) -> None:
    recorder = await recording(store)
    await recorder.audio(tone(100))
    with without_meta(folder(store, recorder)), pytest.raises(StoreError):
        await recorder.complete(language="de")
    assert sorted(open_files(folder(store, recorder))) == ["audio.wav", "finals.jsonl"]
    assert (await store.find(recorder.export_id)).state == "live"
    recorder.close()
    assert open_files(folder(store, recorder)) == []
    export = await store.find(recorder.export_id)
    assert (export.state, export.samples) == ("interrupted", 100)
    assert (await store.page(limit=9)).exports == (export,)
    await store.delete(recorder.export_id)
    assert (await store.page(limit=9)).exports == ()


CRASH = """
import os, signal, sys, pathlib, trio
from server.exports.store import Store
from server.protocol import WireFinal
async def main():
    store = Store(pathlib.Path(sys.argv[1]))
    await store.prepare()
    recorder = await store.record(sys.argv[2], sample_rate=8000, model="tiny")
    await recorder.audio(b"\\x05\\x00" * 24_000 + b"x")
    await recorder.final(WireFinal((), " so far"))
    os.kill(os.getpid(), signal.SIGKILL)
trio.run(main)
"""


async def test_what_a_killed_process_recorded_is_recovered(tmp_path: Path) -> None:
    export_id = Store.new_id()
    killed = await trio.run_process(
        [sys.executable, "-c", CRASH, str(tmp_path), export_id],
        check=False,
        cwd=Path(__file__).parent.parent,
        capture_stderr=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    store = Store(tmp_path)
    await store.prepare()
    export = await store.find(export_id)
    assert (export.state, export.samples, export.duration, export.finals) == ("interrupted", 24_000, 3.0, 1)
    assert await store.finals(export_id) == [WireFinal((), " so far")]
    with wave.open(str(store.audio_path(export_id))) as wav:
        assert (wav.getnframes(), wav.getframerate()) == (24_000, 8_000)
        assert wav.readframes(24_000) == b"\x05\x00" * 24_000
    assert store.audio_path(export_id).stat().st_size == 44 + 48_000

"""Where a client's audio comes from, and when it is sent."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
import trio

from engine.types import SAMPLE_RATE
from server.client.audio_source import open_source
from server.client.frames import Frames
from server.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")


def tone(rate: int, seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    times = np.arange(int(rate * seconds), dtype=np.float32) / rate
    return (0.5 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)


async def samples_of(name: object) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    pcm = b""
    async with open_source(str(name)) as source:
        while part := await source.read():
            pcm += part
    return np.frombuffer(pcm, dtype="<i2")


def loudest_frequency(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> float:
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float32)))
    return float(np.argmax(spectrum)) * SAMPLE_RATE / len(samples)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
async def test_stereo_of_another_rate_becomes_16_khz_mono(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"tone.{suffix}"
    left = tone(44_100, 2)
    soundfile.write(file, np.stack([left, np.zeros_like(left)], axis=1), 44_100)
    samples = await samples_of(file)
    assert abs(len(samples) - 2 * SAMPLE_RATE) <= SAMPLE_RATE // 10  # mp3 has padding
    assert abs(loudest_frequency(samples) - 440) < 2
    assert abs(np.abs(samples).max() / 32768 - 0.25) < 0.05  # half of the left channel's 0.5


async def test_16_khz_mono_passes_unchanged(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(-32768, 32768, 4001).astype(np.int16)
    soundfile.write(tmp_path / "noise.wav", noise, SAMPLE_RATE)
    assert np.array_equal(await samples_of(tmp_path / "noise.wav"), noise)


async def test_a_long_file_is_not_read_at_once_and_says_how_long_it_is(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.flac", np.zeros(48_000 * 60, dtype=np.int16), 48_000)
    async with open_source(str(tmp_path / "long.flac")) as source:
        assert source.duration_s == 60
        assert 0 < len(await source.read()) <= SAMPLE_RATE  # half a second


@needs_ffmpeg
async def test_ffmpeg_reads_what_is_no_plain_audio_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "tone.wav", tone(48_000, 2), 48_000)
    film = tmp_path / "film.mkv"
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "color=black:d=2:s=16x16",
        "-i",
        str(tmp_path / "tone.wav"),
    ]
    subprocess.run([*command, "-c:v", "mpeg4", str(film)], check=True)  # noqa: S603, ASYNC221 - the test's own command
    samples = await samples_of(film)
    assert abs(len(samples) - 2 * SAMPLE_RATE) <= SAMPLE_RATE // 10
    assert abs(loudest_frequency(samples) - 440) < 2


@needs_ffmpeg
async def test_a_film_can_be_left_in_the_middle(tmp_path: Path) -> None:
    film = tmp_path / "noise.mka"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "anoisesrc=d=60", "-c:a", "aac", str(film)]
    subprocess.run(command, check=True)  # noqa: S603, ASYNC221 - the test's own command
    with trio.fail_after(10):
        async with open_source(str(film)) as source:
            assert await source.read()


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b"# Not audio at all.\n" * 50, "cannot be read as audio|install ffmpeg")],
)
async def test_a_file_without_audio_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "notes.wav"
    file.write_bytes(content)
    with pytest.raises(SourceError, match=said):
        await samples_of(file)


async def test_a_file_of_another_kind_needs_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "film.mp4").write_bytes(b"film")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match=r"film\.mp4 .* install ffmpeg"):
        await samples_of(tmp_path / "film.mp4")
    with pytest.raises(SourceError, match=r"rtsp://camera/live .* install ffmpeg.*PROGRAM \| trioscribe stream -"):
        await samples_of("rtsp://camera/live")


async def test_an_address_is_left_to_ffmpeg_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = tmp_path / "ffmpeg"
    stand_in.write_text(f"""#!/bin/sh\necho "$@" > {tmp_path}/asked\nprintf 'abcd'\n""")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (await samples_of("rtsp://camera/live")).tobytes() == b"abcd"
    assert " -i rtsp://camera/live -f s16le " in (tmp_path / "asked").read_text()


@needs_ffmpeg
async def test_an_address_where_nothing_is_heard_is_refused() -> None:
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:1/talk\.mp3 cannot be read as audio: .*refused"):
        await samples_of("http://127.0.0.1:1/talk.mp3")


async def test_a_file_with_no_samples_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(0, dtype=np.int16), SAMPLE_RATE)
    with pytest.raises(SourceError, match="no audio in it"):
        await samples_of(tmp_path / "silent.wav")


async def test_what_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.wav cannot be read: No such file"):
        await samples_of(tmp_path / "none.wav")
    with pytest.raises(SourceError, match="cannot be read: Is a directory"):
        await samples_of(tmp_path)


class Parts:
    """A source of given parts, each available after so many seconds."""

    live = False
    duration_s = None

    def __init__(self, *parts: tuple[float, int]) -> None:
        self._parts = iter(parts)

    async def read(self) -> bytes:
        seconds, samples = next(self._parts, (0.0, 0))
        await trio.sleep(seconds)
        return bytes(2 * samples)


async def test_frames_are_100_ms_whatever_the_parts_are() -> None:
    sizes = [len(frame) // 2 async for frame in Frames(Parts((0, 10), (0, 5000), (0, 1)), paced=False)]
    assert sizes == [1600, 1600, 1600, 211]


async def test_a_paced_frame_comes_when_its_last_sample_is_due(autojump_clock: MockClock) -> None:
    assert autojump_clock.autojump_threshold == 0
    frames = Frames(Parts((0, 16_000)), paced=True)
    start = trio.current_time()
    times = [trio.current_time() - start async for _ in frames]
    assert times == pytest.approx([0.1 * n for n in range(1, 11)])
    assert frames.started_at == start
    assert frames.samples == 16_000


async def test_being_late_once_delays_nothing_after_it(autojump_clock: MockClock) -> None:
    assert autojump_clock.autojump_threshold == 0
    frames = Frames(Parts((0, 16_000)), paced=True)
    start = trio.current_time()
    times = []
    async for _ in frames:
        times.append(trio.current_time() - start)
        if len(times) == 2:
            await trio.sleep(0.35)  # the network was slow
    assert times == pytest.approx([0.1, 0.2, 0.55, 0.55, 0.55, 0.6, 0.7, 0.8, 0.9, 1.0])


async def test_live_audio_is_not_held_back(autojump_clock: MockClock) -> None:
    assert autojump_clock.autojump_threshold == 0
    microphone = Parts((0, 3200))
    microphone.live = True
    start = trio.current_time()
    assert len([frame async for frame in Frames(microphone, paced=True)]) == 2
    assert trio.current_time() == start


async def test_stopping_ends_the_wait_for_a_frame(autojump_clock: MockClock) -> None:
    assert autojump_clock.autojump_threshold == 0
    frames = Frames(Parts((0, 1600), (1000, 1600)), paced=False)
    start = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def stop_after_a_second() -> None:
            await trio.sleep(1)
            frames.stop()

        nursery.start_soon(stop_after_a_second)
        assert len([frame async for frame in frames]) == 1
    assert trio.current_time() - start == pytest.approx(1)
    assert [frame async for frame in frames] == []


async def test_a_missing_microphone_is_one_clear_sentence() -> None:
    with pytest.raises(SourceError, match=r"'\.\[mic\]'|libportaudio2|No microphone can be opened"):
        async with open_source("mic"):
            pytest.skip("there is a microphone")

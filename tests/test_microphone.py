"""Microphones, with the library that reads them played: choosing one, hearing it, and listing them all."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from server.cli import main
from server.client.audio_source import open_source
from server.errors import SourceError


class PortAudioError(Exception):
    """As the library has it."""


class InputStream:
    """An open device that plays a ramp, and then fails."""

    def __init__(self, *, device: int | str | None, channels: int, dtype: str) -> None:
        if device == "none such":
            raise ValueError("No input device matching 'none such'")
        assert (channels, dtype) == (1, "int16")
        self.device = device
        self.samplerate = 16_000.0
        self.closed = False
        self._blocks = 2

    def start(self) -> None:
        if self.device == 7:
            raise PortAudioError("Device unavailable")

    def read(self, samples: int) -> tuple[Any, bool]:
        if not self._blocks:
            raise PortAudioError("Unanticipated host error")
        self._blocks -= 1
        return np.arange(samples, dtype=np.int16).reshape(-1, 1), False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[InputStream]:
    """The devices that are opened, of a machine with two microphones and a loudspeaker."""
    found: list[InputStream] = []

    def open_stream(**options: Any) -> InputStream:
        found.append(InputStream(**options))
        return found[-1]

    names = [("Built-in", 2, 48_000.0), ("Speaker", 0, 48_000.0), ("USB Audio", 1, 44_100.0)]
    library = ModuleType("sounddevice")
    vars(library).update(
        PortAudioError=PortAudioError,
        InputStream=open_stream,
        default=SimpleNamespace(device=(2, 1)),
        query_hostapis=lambda index: {"name": ["ALSA"][index]},
        query_devices=lambda: [
            {"index": n, "name": name, "hostapi": 0, "max_input_channels": channels, "default_samplerate": rate}
            for n, (name, channels, rate) in enumerate(names)
        ],
    )
    monkeypatch.setitem(sys.modules, "sounddevice", library)
    return found


@pytest.mark.parametrize("device", [None, 2, "usb"])
async def test_the_chosen_microphone_is_heard_and_let_go(opened: list[InputStream], device: int | str | None) -> None:
    async with open_source("mic", device=device) as source:
        assert source.live
        assert np.array_equal(np.frombuffer(await source.read(), "<i2"), np.arange(1_600))
        await source.read()
        with pytest.raises(SourceError, match="The microphone has stopped: Unanticipated host error"):
            await source.read()
    assert [(each.device, each.closed) for each in opened] == [(device, True)]


@pytest.mark.parametrize(
    ("argument", "reason"), [("none such", "No input device matching 'none such'"), ("7", "Device unavailable")]
)
def test_a_microphone_that_cannot_be_opened_is_one_line_and_let_go(
    argument: str, reason: str, opened: list[InputStream], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stream", "mic", "--device", argument]) == 1
    assert capsys.readouterr().err == (
        f"trioscribe: No microphone can be opened: {reason}. "
        "`trioscribe stream --list-devices` shows which there are.\n"
    )
    assert all(each.closed for each in opened)


@pytest.mark.usefixtures("opened")
def test_microphones_are_listed_without_loudspeakers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["stream", "--list-devices"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.splitlines() == [
        "   0 Built-in, ALSA, 48000 Hz",
        ">  2 USB Audio, ALSA, 44100 Hz",
    ]


def test_without_the_package_the_list_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(SystemExit) as caught:
        main(["stream", "--list-devices"])
    assert caught.value.code == 1
    assert capsys.readouterr().err == (
        "trioscribe: The microphone needs a further package: .venv/bin/pip install -e '.[mic]'\n"
    )

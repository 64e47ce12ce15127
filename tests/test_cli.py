"""The command line as a person meets it: what it prints, where, and the status it leaves with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import soundfile
import trio

from server.cli import main
from server.settings.table import table
from tests.scripted_server import EXPORT_ID, FINAL, PARTIAL, Obliging, serving

if TYPE_CHECKING:
    from trio_websocket import WebSocketRequest

CLIP = Path(__file__).parent / "speech" / "en-door.flac"
PROGRAM = [sys.executable, "-m", "server.cli"]


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TRIOSCRIBE_")]:
        monkeypatch.delenv(name)


def test_config_shows_each_setting_and_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cfg.toml").write_text('language = "de"\nslots = 2\n')
    monkeypatch.setenv("TRIOSCRIBE_CONFIG", str(tmp_path / "cfg.toml"))
    monkeypatch.setenv("TRIOSCRIBE_SLOTS", "3")
    assert main(["config", "--audio-ctx-floor", "-1", "--step-ms", "500"]) == 0
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()}
    assert lines["language"].split() == ['"de"', "file"]
    assert lines["slots"].split() == ["3", "environment"]
    assert lines["step_ms"].split() == ["500", "command", "line"]
    assert lines["audio_ctx_floor"].split() == ["-1", "command", "line"]
    assert lines["port"].split() == ["8394", "default"]


def test_config_can_be_written_as_a_file_and_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--toml", "--prompt", 'say "hi"\n', "--grace-s", "3"]) == 0
    file = tmp_path / "written.toml"
    file.write_text(capsys.readouterr().out)
    assert main(["config", "--config", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.endswith("file")] == ["prompt", "grace_s"]


@pytest.mark.parametrize("command", ["serve", "config"])
def test_a_wrong_setting_is_one_line_and_status_2(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cfg.toml"
    file.write_text("prot = 8394\n")
    assert main([command, "--config", str(file)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"trioscribe: Unknown setting prot in {file}; did you mean ")
    assert output.err.count("\n") == 1


@pytest.mark.parametrize(
    "argv",
    [
        ["serve", "--port", "http"],
        ["serve", "--config", "none.toml"],
        ["config", "--language", "German"],
        ["serve", "--host", "192.168..5"],
        ["serve", "--data-dir", "~nosuchuser/x"],
        ["serve", "--port", "0", "--rest-port", "0", "--language", "xx"],
    ],
)
def test_wrong_values_and_missing_files_have_status_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "COMMAND"),
        (["serve", "--prot", "1"], "trioscribe serve: error: Unknown option --prot; did you mean --port?"),
        (["serve", "--prot=1"], "Unknown option --prot; did you mean --port?"),
        (["serve", "--nothing-like-it"], "Unknown option --nothing-like-it; `trioscribe serve --help` lists what"),
        (["serve", "now"], "Unknown argument now; `trioscribe serve --help` lists what there is."),
        (["models", "list", "--models-dirs", "x"], "trioscribe models list: error: Unknown option --models-dirs; did"),
        (["--versoin", "serve"], "trioscribe: error: Unknown option --versoin; did you mean --version?"),
        (["stream"], "FILE|URL|-|mic"),
        (["stream", "x.wav", "--rate", "fast"], "'fast' will not do; it must be a whole number from 4000 to 192000"),
        (["stream", "x.wav", "--language", "German"], "'German' will not do"),
        (["stream", "x.wav", "--rest-url", "localhost:8393"], "http://"),
        (["stream", "x.wav", "--url", "http://localhost:8394"], "ws://HOST or wss://HOST"),
        (["stream", "x.wav", "--url", "ws://192.168..5:8394/"], "ws://HOST or wss://HOST"),
        (["stream", "x.wav", "--url", "ws://localhost:http/"], "ws://HOST or wss://HOST"),
    ],
)
def test_wrong_usage_has_status_2_and_says_what_is_meant(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_help_names_every_setting_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["serve", "--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for row in table():
        assert row.flag in text
        assert row.help.split(";")[0] in text


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.startswith("trioscribe ")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["stream", str(CLIP), "--url", "ws://127.0.0.1:1/"], "No server answers at ws://127.0.0.1:1/"),
        (["stream", __file__, "--url", "ws://127.0.0.1:1/"], "test_cli.py"),
        (["stream", "none.wav"], "none.wav cannot be read: No such file or directory."),
        (["stream", str(CLIP), "--save", "/proc/x.srt"], "/proc/x.srt cannot be written"),
        (["stream", str(CLIP), "--save", "x.doc"], ".srt"),
    ],
)
def test_a_stream_that_cannot_be_is_one_line_and_status_1(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("trioscribe: ")
    assert said in output.err
    assert output.err.count("\n") == 1


def test_a_server_that_cannot_start_is_one_line_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["serve", "--port", "0", "--rest-port", "0", "--data-dir", str(tmp_path), "--model", "/none.bin"]
    assert main(argv) == 1
    assert "/none.bin" in capsys.readouterr().err


async def test_raw_audio_in_a_pipe_is_streamed() -> None:
    server = Obliging()
    pcm = soundfile.read(CLIP, dtype="int16")[0].tobytes()
    async with serving(server) as url:
        done = await trio.run_process(
            [*PROGRAM, "stream", "-", "--fast", "--json", "--url", url], stdin=pcm + b"\0", capture_stdout=True
        )
    assert server.audio == pcm  # half a sample at the end is no audio
    assert done.stdout.decode().splitlines() == [PARTIAL, FINAL, EXPORT_ID]


@pytest.mark.parametrize("audio", [b"", b"\0"])
async def test_an_empty_pipe_is_no_success(audio: bytes) -> None:
    command = [*PROGRAM, "stream", "-", "--url", "ws://127.0.0.1:1/"]
    done = await trio.run_process(command, stdin=audio, capture_stderr=True, check=False)
    assert done.returncode == 1
    assert done.stderr == b"trioscribe: No audio came in on standard input.\n"


@pytest.mark.parametrize(
    ("options", "sent"), [([], "from-the-environment"), (["--key", "from-the-command-line"], "from-the-command-line")]
)
async def test_the_key_need_not_stand_where_others_see_it(
    options: list[str], sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIOSCRIBE_KEY", "from-the-environment")
    server = Obliging()
    async with serving(server) as url:
        await trio.run_process(
            [*PROGRAM, "stream", str(CLIP), "--fast", "--url", url, *options], capture_stdout=True, capture_stderr=True
        )
    assert server.texts == [f'{{"Authorization":"{sent}"}}']
    assert main(["config"]) == 0  # and no other command takes it for a mistake


def test_a_reader_that_has_had_enough_is_no_crash() -> None:
    with subprocess.Popen([*PROGRAM, "config"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603 - this program
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


async def test_interrupting_twice_leaves_quietly_with_status_130(tmp_path: Path) -> None:
    started, ended = trio.Event(), trio.Event()

    async def never_answer(request: WebSocketRequest) -> None:
        connection = await request.accept()
        while await connection.get_message() != "eof":
            started.set()
        ended.set()
        await trio.sleep_forever()

    with trio.fail_after(20), (tmp_path / "said").open("wb") as said:
        async with serving(never_answer) as url, trio.open_nursery() as nursery:
            command = [*PROGRAM, "stream", str(CLIP), "--url", url]
            process = await nursery.start(partial(trio.run_process, command, stderr=said, check=False))
            await started.wait()
            process.send_signal(signal.SIGINT)
            await ended.wait()
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
    assert (tmp_path / "said").read_text().count("\n") == 1  # that the first one waits

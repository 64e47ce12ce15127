"""The programs of docs/clients.md, run as they are printed there, against a scripted server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from functools import cache, partial
from pathlib import Path
from subprocess import PIPE
from urllib.request import urlopen

import numpy as np
import pytest
import soundfile
import trio

from tests.scripted_server import EXPORT_ID, FINAL, Obliging, serving

CLIP = Path(__file__).parent / "speech" / "en-door.flac"
DOCUMENT = Path(__file__).parents[1] / "docs" / "clients.md"


def program(mark: str) -> str:
    """The code block that has this in it."""
    blocks: list[str] = re.findall(r"```(?:python|js)\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    (found,) = [block for block in blocks if mark in block]
    return found


@cache
def node_has_websocket() -> bool:
    node = shutil.which("node")
    probe = [node or "", "-e", "process.exit(globalThis.WebSocket ? 0 : 1)"]
    return node is not None and subprocess.run(probe, check=False).returncode == 0  # noqa: S603 - as found on PATH


python_programs = pytest.mark.parametrize(
    ("mark", "package"), [("captions_trio.py", "trio_websocket"), ("captions_asyncio.py", "websockets")]
)


@python_programs
async def test_the_python_programs_transcribe_a_file(mark: str, package: str, tmp_path: Path) -> None:
    pytest.importorskip(package)
    pcm = soundfile.read(CLIP, dtype="int16")[0]
    soundfile.write(tmp_path / "talk.wav", pcm, 44_100)
    await trio.Path(tmp_path / "captions.py").write_text(program(mark))
    server = Obliging()
    async with serving(server) as url:
        done = await trio.run_process(
            [sys.executable, tmp_path / "captions.py", tmp_path / "talk.wav", url, "http://exports/"],
            capture_stdout=True,
            capture_stderr=True,
        )
    assert [json.loads(text) for text in server.texts] == [{"config": {"sample_rate": 44_100}}]
    assert server.audio == pcm.tobytes()
    assert done.stdout == b"Das [b].\n"
    assert f"http://exports/export/transcript/{EXPORT_ID}" in done.stderr.decode()


@python_programs
@pytest.mark.parametrize(
    ("channels", "rate", "subtype"), [(2, 44_100, "PCM_16"), (1, 16_000, "FLOAT"), (1, 96_000, "PCM_16")]
)
async def test_the_python_programs_say_what_to_do_about_a_file_of_another_kind(  # noqa: PLR0913, PLR0917
    mark: str, package: str, channels: int, rate: int, subtype: str, tmp_path: Path
) -> None:
    pytest.importorskip(package)
    soundfile.write(tmp_path / "talk.wav", np.zeros((rate, channels)), rate, subtype)
    await trio.Path(tmp_path / "captions.py").write_text(program(mark))
    done = await trio.run_process(
        [sys.executable, tmp_path / "captions.py", tmp_path / "talk.wav"], check=False, capture_stderr=True
    )
    assert done.returncode == 1
    assert "ffmpeg -i" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


async def test_the_screen_shows_viewers_what_the_client_prints(tmp_path: Path) -> None:
    await trio.Path(tmp_path / "screen.py").write_text(program("screen.py"))
    command = [sys.executable, tmp_path / "screen.py", "127.0.0.1", "0"]
    async with trio.open_nursery() as nursery:
        screen = await nursery.start(partial(trio.run_process, command, stdin=PIPE, stderr=PIPE))
        with trio.fail_after(60):
            url = (await screen.stderr.receive_some()).decode().strip()
            page = await trio.to_thread.run_sync(partial(urlopen, url, timeout=30))
            with page, await trio.to_thread.run_sync(partial(urlopen, f"{url}captions", timeout=30)) as captions:
                assert b"EventSource" in page.read()
                await screen.stdin.send_all(f"{FINAL}\n".encode())
                assert await trio.to_thread.run_sync(captions.readline) == f"data: {FINAL}\n".encode()
            await screen.stdin.aclose()


@pytest.mark.skipif("not node_has_websocket()", reason="Node 22 is not installed")
async def test_the_node_program_transcribes_a_pipe(tmp_path: Path) -> None:
    pcm = soundfile.read(CLIP, dtype="int16")[0].tobytes()
    await trio.Path(tmp_path / "captions.mjs").write_text(program("captions.mjs"))
    server = Obliging()
    async with serving(server) as url:
        done = await trio.run_process(
            ["node", tmp_path / "captions.mjs", url, "http://exports/"],
            stdin=pcm,
            capture_stdout=True,
            capture_stderr=True,
        )
    assert server.audio == pcm
    assert done.stdout == b"Das [b].\n"
    assert f"http://exports/export/transcript/{EXPORT_ID}" in done.stderr.decode()

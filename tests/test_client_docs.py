"""The programs of docs/clients.md, run as they are printed there, against a scripted server."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import soundfile
import trio

from tests.scripted_server import EXPORT_ID, Obliging, serving

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


@pytest.mark.parametrize(
    ("mark", "package"), [("captions_trio.py", "trio_websocket"), ("captions_asyncio.py", "websockets")]
)
async def test_the_python_programs_transcribe_a_file(mark: str, package: str, tmp_path: Path) -> None:
    pytest.importorskip(package)
    pcm = soundfile.read(CLIP, dtype="int16")[0]
    soundfile.write(tmp_path / "talk.wav", pcm, 16_000)
    await trio.Path(tmp_path / "captions.py").write_text(program(mark))
    server = Obliging()
    async with serving(server) as url:
        done = await trio.run_process(
            [sys.executable, tmp_path / "captions.py", tmp_path / "talk.wav", url],
            capture_stdout=True,
            capture_stderr=True,
        )
    assert server.audio == pcm.tobytes()
    assert done.stdout == b"Das [b].\n"
    assert EXPORT_ID in done.stderr.decode()


@pytest.mark.skipif("not node_has_websocket()", reason="Node 22 is not installed")
async def test_the_node_program_transcribes_a_pipe(tmp_path: Path) -> None:
    pcm = soundfile.read(CLIP, dtype="int16")[0].tobytes()
    await trio.Path(tmp_path / "captions.mjs").write_text(program("captions.mjs"))
    server = Obliging()
    async with serving(server) as url:
        done = await trio.run_process(
            ["node", tmp_path / "captions.mjs", url], stdin=pcm, capture_stdout=True, capture_stderr=True
        )
    assert server.audio == pcm
    assert done.stdout == b"Das [b].\n"
    assert EXPORT_ID in done.stderr.decode()

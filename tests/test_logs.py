"""The log: one line a record whatever is in it, the stream on each, JSON for programs."""

from __future__ import annotations

import json
import logging
import re
import signal
import sys
from functools import partial
from subprocess import PIPE
from typing import TYPE_CHECKING

import trio
from hypothesis import given
from hypothesis import strategies as st

from server.access import keys
from server.monitoring import logs
from tests.conftest import PATIENCE
from tests.visitors import stream_command

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

FORGED = "x\n2026-01-01T00:00:00.000Z ERROR server: forged\r\x1b[2J\u2028\x85\x00\u202egnp"


def record(message: str, *args: object, exc_info: bool = False, **extra: object) -> logging.LogRecord:
    error = None
    if exc_info:
        try:
            int(FORGED)
        except ValueError as caught:
            error = (type(caught), caught, caught.__traceback__)
    made = logging.LogRecord("server.x", logging.WARNING, "f.py", 1, message, args, error)
    vars(made).update(extra)
    return made


def test_a_line_says_when_what_and_about_which_stream() -> None:
    with logs.about_stream("0" * 32):
        line = logs.Text().format(record("A client at %s", "home", peer="::1"))
    when, rest = line.split(" ", 1)
    assert when.endswith("Z")
    assert rest == f"WARNING server.x: A client at home stream={'0' * 32} peer=::1"
    assert "stream=" not in logs.Text().format(record("no stream"))


def test_input_cannot_forge_a_line() -> None:
    line = logs.Text().format(record("Nothing is at %s", FORGED, peer=FORGED))
    assert len(line.splitlines()) == 1
    assert not any(ord(character) < 32 or character in "\x85\u2028\u202e" for character in line)
    assert r"x\n2026-01-01" in line


def test_an_error_with_such_a_text_cannot_either() -> None:
    first, *others = logs.Text().format(record("failed", exc_info=True)).split("\n")
    assert first.endswith("WARNING server.x: failed")
    assert others
    assert all(line.startswith("    ") for line in others)


@given(st.text(), st.text())
def test_json_is_one_object_a_line_with_all_that_was_said(message: str, peer: str) -> None:
    line = logs.Json().format(record("%s", message, exc_info=True, peer=peer, count=3))
    assert "\n" not in line
    assert "\r" not in line
    said = json.loads(line)
    assert set(said) == {"time", "level", "logger", "message", "peer", "count", "error"}
    assert (said["message"], said["peer"], said["count"]) == (message, peer, 3)
    assert "ValueError" in said["error"]


def test_a_lone_surrogate_is_no_trouble() -> None:
    assert "\\ud800" in json.loads(logs.Json().format(record("a\ud800")))["message"]
    assert "\\ud800" in logs.Text().format(record("a\ud800"))


async def test_tasks_and_threads_of_a_stream_have_its_id_and_others_do_not() -> None:
    lines: dict[str, str] = {}

    def note(name: str) -> None:
        lines[name] = logs.Text().format(record(name))

    async def stream(name: str) -> None:
        with logs.about_stream(name):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, note, name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream, "a")
        nursery.start_soon(stream, "b")
    note("outside")
    assert lines["a"].endswith("stream=a")
    assert lines["b"].endswith("stream=b")
    assert "stream=" not in lines["outside"]


def test_the_level_is_for_our_own_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    levels = {name: logging.getLogger(name).level for name in ("", *logs.OURS)}
    try:
        logs.configure("debug", "text")
        assert logging.getLogger("server.streams.session").isEnabledFor(logging.DEBUG)
        for library in ("trio-websocket", "hpack", "hypercorn.error", "quart.app"):
            assert not logging.getLogger(library).isEnabledFor(logging.INFO)
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


async def test_a_server_logs_json_with_streams_and_without_keys(tmp_path: Path) -> None:
    secret, _ = keys.add(tmp_path / "keys", "hall")
    serve = [sys.executable, "-m", "server.cli", "serve", "--port", "0", "--rest-port", "0"]
    chosen = ["--keys-file", str(tmp_path / "keys"), "--data-dir", str(tmp_path), "--log-format", "json"]
    command = [*serve, *chosen, "--log-level", "debug"]
    with trio.fail_after(PATIENCE), (tmp_path / "log").open("wb") as log:
        async with trio.open_nursery() as nursery:
            process = await nursery.start(partial(trio.run_process, command, stdout=PIPE, stderr=log))
            said = ""
            while "\n" not in said:
                said += (await process.stdout.receive_some()).decode()
            port = int(re.findall(r"ws://127.0.0.1:(\d+)/", said)[0])
            rest_port = int(re.findall(r"http://127.0.0.1:(\d+)/", said)[0])
            where = ["--url", f"ws://127.0.0.1:{port}/", "--rest-url", f"http://127.0.0.1:{rest_port}"]
            done = await stream_command(*where, "--key", secret, "--save", str(tmp_path / "talk.txt"))
            assert done.returncode == 0, done.stderr
            refused = await stream_command("--url", f"ws://127.0.0.1:{port}/elsewhere?token={secret}")
            assert refused.returncode == 1
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
    written = (tmp_path / "log").read_text()
    assert secret not in written
    lines = [json.loads(line) for line in written.splitlines()]
    (begin,) = [line for line in lines if line["message"] == "A stream begins"]
    assert (begin["key"], begin["peer"], len(begin["stream"])) == ("hall", "127.0.0.1", 32)
    (end,) = [line for line in lines if line["message"] == "The stream has ended"]
    assert end["stream"] == begin["stream"]

"""The server that is measured: started here on free ports with an empty data folder, or one that runs already."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.metered import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

READY: Final = re.compile(r"ws://\S+:\d+/")
TICKS: Final = os.sysconf("SC_CLK_TCK")
READING_TIMEOUT: Final = 10.0


class SubjectError(Exception):
    """The server could not be started, or ended."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A server. `pid` is None for one that was not started here; then nothing is known but what it sends."""

    url: str
    pid: int | None = None
    ready_after: float | None = None
    _readings: Path | None = None

    @property
    def process(self) -> int:
        """Its process. Raises `SubjectError` for a server that was not started here."""
        if self.pid is None:
            raise SubjectError("This needs a server that the benchmark starts itself: leave out --url.")
        return self.pid

    def cpu_seconds(self) -> float:
        """CPU time that it has used, of all its threads, user and system. Resolution: a clock tick (10 ms)."""
        # The name, in parentheses, may hold spaces; utime and stime are fields 14 and 15 of proc(5).
        fields = Path(f"/proc/{self.process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_mib(self) -> float:
        """Memory that it holds."""
        pages = int(Path(f"/proc/{self.process}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def reading(self) -> Reading:
        """What its meters say now; only of a metered one."""
        if self._readings is None:
            raise SubjectError("This server has no meters.")
        before = _lines(self._readings)
        os.kill(self.process, signal.SIGUSR1)
        deadline = time.monotonic() + READING_TIMEOUT
        while len(lines := _lines(self._readings)) == len(before):
            if time.monotonic() > deadline:
                raise SubjectError("The server's meters do not answer.")
            time.sleep(0.01)
        return msgspec.json.decode(lines[-1], type=Reading)


@contextmanager
def running(*, model: Path | str, options: Sequence[str] = (), metered: bool = False) -> Iterator[Subject]:
    """Run `trioscribe serve` with a model, by name or path; end it on leaving. Raises `SubjectError`.

    `metered`: with the meters of `benchmarks.metered`.
    """
    with tempfile.TemporaryDirectory(prefix="trioscribe-bench-") as name:
        folder = Path(name)
        readings, log = folder / "readings.jsonl", folder / "log"
        readings.touch()
        program = ["benchmarks.metered", str(readings)] if metered else ["server.cli"]
        command = [sys.executable, "-m", *program, "serve", "--port", "0", "--rest-port", "0"]
        command += ["--data-dir", str(folder / "data"), "--model", str(model), *options]
        with log.open("wb") as errors:
            began = time.monotonic()
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)  # noqa: S603 - our own server
        try:
            ready = READY.search(process.stdout.readline().decode() if process.stdout else "")
            if ready is None:
                process.wait()
                raise SubjectError(f"The server did not start: {log.read_text(encoding='utf-8').strip()[-1000:]}")
            yield Subject(ready[0], process.pid, time.monotonic() - began, readings if metered else None)
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()


def _lines(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]

"""Make `docs/captions.svg`: the client at work in a terminal, recorded as it runs, played back in real time.

    .venv/bin/pip install pyte && .venv/bin/python docs/capture.py tests/speech/en-letter.flac

A server must be running. The client runs in a pseudo-terminal; what it prints is fed to a terminal emulator, and each
state of its screen becomes a frame of an animated SVG. Nothing is drawn by hand.
"""

from __future__ import annotations

import fcntl
import os
import pty
import shlex
import struct
import sys
import termios
import time
from html import escape
from itertools import groupby, pairwise
from pathlib import Path
from select import select
from typing import Final

import pyte

COLUMNS, ROWS = 88, 14
CELL_WIDTH, LINE_HEIGHT, MARGIN = 8.4, 19, 16
REST_SECONDS: Final = 4.0
"""How long the last frame stays before the recording begins again."""

FRAME_SECONDS: Final = 0.1
"""States of the screen that last shorter are left out."""

SETTLED_SECONDS: Final = 0.02
"""Quiet after which the client has drawn its screen to the end."""

COLOURS: Final = {
    "default": "#d8dee9",
    "black": "#4c566a",
    "red": "#bf616a",
    "green": "#a3be8c",
    "brown": "#ebcb8b",
    "blue": "#81a1c1",
    "magenta": "#b48ead",
    "cyan": "#88c0d0",
    "white": "#eceff4",
}

Screen = list[list[tuple[str, str, bool]]]
"""Rows of runs of equal looks: text, colour, bold."""


def main() -> None:
    """Record the client streaming the file named on the command line."""
    source = sys.argv[1]
    frames = record(
        [str(Path(sys.executable).with_name("trioscribe")), "stream", source], f"trioscribe stream {source}"
    )
    Path(__file__).with_name("captions.svg").write_text(svg(frames), encoding="utf-8")


def record(command: list[str], prompt: str) -> list[tuple[float, Screen]]:
    """Run a command in a pseudo-terminal; give the states of its screen, each with its time in seconds."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    stream.feed(f"\x1b[1m$ {prompt}\x1b[0m\r\n".encode())
    frames = [(0.0, snapshot(screen))]
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(ROWS))
        os.execvp(command[0], command)  # noqa: S606 - this program's own client
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    start = time.monotonic()
    while True:
        try:
            stream.feed(os.read(terminal, 65_536))
        except OSError:  # the other side has closed
            break
        if select([terminal], [], [], SETTLED_SECONDS)[0]:
            continue  # in the middle of a redraw
        now, state = time.monotonic() - start, snapshot(screen)
        if state != frames[-1][1]:
            if now - frames[-1][0] < FRAME_SECONDS:
                frames.pop()
            frames.append((now, state))
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        sys.exit(f"{shlex.join(command)} ended with status {status}: is the server running?")
    return frames


def snapshot(screen: pyte.Screen) -> Screen:
    """The screen as runs of equal looks."""
    rows: Screen = []
    for y in range(ROWS):
        cells = [screen.buffer[y][x] for x in range(COLUMNS)]
        rows.append(
            [
                ("".join(cell.data for cell in run), colour, bold)
                for (colour, bold), run in groupby(cells, key=lambda cell: (cell.fg, cell.bold))
            ]
        )
    return rows


def svg(frames: list[tuple[float, Screen]]) -> str:
    """An animated picture: every frame is shown from its time to that of the next."""
    width, height = COLUMNS * CELL_WIDTH + 2 * MARGIN, ROWS * LINE_HEIGHT + 2 * MARGIN
    total = frames[-1][0] + REST_SECONDS
    times = [at for at, _ in frames] + [total]
    body = "".join(
        f'<g visibility="hidden">{_animation(begin, end, total)}{_text(screen)}</g>'
        for (begin, end), (_, screen) in zip(pairwise(times), frames, strict=True)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" '
        'font-family="ui-monospace,Menlo,Consolas,monospace" font-size="14" xml:space="preserve">'
        f'<rect width="100%" height="100%" rx="8" fill="#2e3440"/>{body}</svg>\n'
    )


def _animation(begin: float, end: float, total: float) -> str:
    keys = f"0;{begin / total:.4f};{min(1, end / total):.4f}"
    return (
        f'<animate attributeName="visibility" values="hidden;visible;hidden" keyTimes="{keys}" '
        f'calcMode="discrete" dur="{total:.2f}s" repeatCount="indefinite"/>'
    )


def _text(screen: Screen) -> str:
    lines: list[str] = []
    for y, row in enumerate(screen):
        x = 0
        for text, colour, bold in row:
            if text.strip():
                weight = "bold" if bold else "normal"
                fill = COLOURS.get(colour, f"#{colour}" if len(colour) == len("rrggbb") else COLOURS["default"])
                lines.append(
                    f'<text x="{MARGIN + x * CELL_WIDTH:.1f}" y="{MARGIN + (y + 1) * LINE_HEIGHT - 5}" '
                    f'textLength="{len(text) * CELL_WIDTH:.1f}" fill="{fill}" font-weight="{weight}">'
                    f"{escape(text)}</text>"
                )
            x += len(text)
    return "".join(lines)


if __name__ == "__main__":
    main()

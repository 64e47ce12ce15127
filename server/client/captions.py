"""Captions for people and for programs: live in a terminal, lines of text in a pipe, or the messages raw."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from server.protocol import WireError, WireFinal, WirePartial, WireQueued

if TYPE_CHECKING:
    from types import TracebackType

    from server.client.connection import Received


class Captions(Protocol):
    """Shows one stream; a context manager, so that a terminal is put right again."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, received: Received) -> None:
        """Show a message of the server."""

    def sent(self, seconds: float) -> None:
        """Show how much audio has been sent, in seconds."""

    def note(self, line: str) -> None:
        """Tell people something beside the captions."""


def captions(name: str, duration_s: float | None, *, raw: bool) -> Captions:
    """Choose how to show the stream `name`: raw messages if asked for, else by what standard output is."""
    if raw:
        return RawMessages()
    console = Console()
    return LiveCaptions(console, name, duration_s) if console.is_terminal else PlainCaptions()


def clock(seconds: float) -> str:
    """Write a time of the stream, as in 1:02:03 or 2:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class PlainCaptions:
    """Finals as lines on standard output; everything else is for standard error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, received: Received) -> None:
        """Write the text of a final, an error, or the place in line."""
        match received.message:
            case WireFinal(_, text):
                _line(text.strip())
            case WireError(_, message):
                self.note(message)
            case WireQueued(place):
                self.note(_in_line(place))

    def sent(self, seconds: float) -> None:
        """Show nothing: a log has no use for progress."""

    def note(self, line: str) -> None:
        """Write to standard error, so that standard output has the captions and nothing else."""
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is the program's output


class RawMessages(PlainCaptions):
    """Each message as it came, one a line, for other programs."""

    def show(self, received: Received) -> None:
        """Write the message."""
        _line(received.raw)


class LiveCaptions:
    """Finals scroll up; below them the growing partial, and how far the audio is."""

    def __init__(self, console: Console, name: str, duration_s: float | None) -> None:
        columns = (
            TextColumn("{task.description}", style="dim"),
            BarColumn(),
            TextColumn("{task.fields[clock]}"),
        )
        self._progress = Progress(*columns, console=console)
        self._end = f" / {clock(duration_s)}" if duration_s else ""
        self._task = self._progress.add_task(name, total=duration_s, clock=clock(0) + self._end)
        self._console = console
        self._partial = Text()
        self._live = Live(get_renderable=self._below, console=console, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, received: Received) -> None:
        """Let a final scroll up with its time, or put a partial in the place of the last."""
        match received.message:
            case WirePartial(partial):
                self._below_finals(Text(partial.strip(), style="italic"))
            case WireFinal(result, text):
                self._below_finals(Text())
                start = clock(result[0].start) if result else ""
                self._console.print(Text.assemble((f"{start:>8}  ", "dim"), text.strip()))
            case WireError():
                self._console.print(Text(received.message.message, style="red"))
            case WireQueued(place):
                self.note(_in_line(place))

    def sent(self, seconds: float) -> None:
        """Move the progress bar."""
        self._progress.update(self._task, completed=seconds, clock=clock(seconds) + self._end)

    def note(self, line: str) -> None:
        """Write a line among the finals."""
        self._console.print(Text(line, style="dim"), soft_wrap=True)  # an address that is broken cannot be clicked

    def _below_finals(self, partial: Text) -> None:
        self._partial = partial
        self._live.refresh()  # at once: a caption is late enough already

    def _below(self) -> Group:
        return Group(self._partial, self._progress)


def _in_line(place: int) -> str:
    return f"The server is full; waiting, number {place} in line." if place else "The stream begins."


def _line(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is the program's output

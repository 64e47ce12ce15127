"""The server's log: one record a line, with the stream it is about, for people or as JSON.

Nothing that comes from outside can look like a line of the log: control characters are written as escapes (CWE-117).
"""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS: Final = ("engine", "models", "server", "whisper.cpp")
"""Whose lines `log_level` lets through. Libraries get to say warnings: below that, some print requests with keys."""

BESIDES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; anything else was given as `extra`, to be shown."""

# C0 and C1, DEL, the line ends of Unicode, and what turns the direction of writing.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

# A task's own, and that of the tasks and threads which it starts: the reason why it need not be handed around.
_stream: Final[ContextVar[str | None]] = ContextVar("stream", default=None)


@contextmanager
def about_stream(export_id: str) -> Iterator[None]:
    """Put the ID of the stream on each line that is logged inside, and by tasks that are started inside."""
    token = _stream.set(export_id)
    try:
        yield
    finally:
        _stream.reset(token)


def configure(level: str, form: str) -> None:
    """Log to standard error from now on; `form` is "text" or "json". Does nothing where logging is set up already."""
    handler = logging.StreamHandler()
    handler.setFormatter(Json() if form == "json" else Text())
    threshold = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING))
    for name in OURS:
        logging.getLogger(name).setLevel(threshold)


class Text(logging.Formatter):
    """A line with time, severity, who says it, what, and fields behind it; further lines of an error are indented."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        fields = "".join(f" {name}={escape(str(value))}" for name, value in _fields(record).items())
        head = f"{_moment(record)} {record.levelname} {record.name}: {escape(record.getMessage())}{fields}"
        return "\n    ".join([head, *map(escape, self._traceback(record))])

    def _traceback(self, record: logging.LogRecord) -> list[str]:
        return self.formatException(record.exc_info).splitlines() if record.exc_info else []


class Json(logging.Formatter):
    """An object with `time`, `level`, `logger`, `message`, the fields, and `error` with a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        said: dict[str, object] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        said |= _fields(record)
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        # JSON escapes control characters of ASCII by itself; surrogates are what no text may have.
        plain = {name: value if isinstance(value, (int, float)) else _whole(str(value)) for name, value in said.items()}
        return msgspec.json.encode(plain).decode()


def escape(text: str) -> str:
    r"""Write control characters as escapes (`\n`, `\x1b`, `\u2028`), so that the text is part of one line."""
    return _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def _whole(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _fields(record: logging.LogRecord) -> dict[str, object]:
    stream = _stream.get()  # a record is written where it is made, in the task or thread that it is about
    given = {name: value for name, value in vars(record).items() if name not in BESIDES}
    return ({} if stream is None else {"stream": stream}) | given


def _moment(record: logging.LogRecord) -> str:
    """UTC, as in the exports: the clocks of a hall's machines are compared more easily."""
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

"""Files that may change while the server runs: read again when they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

POLL_SECONDS: Final = 1.0
"""A look at each file is a few microseconds; notices from the kernel would miss what is behind a link or a mount."""


async def watch(paths: Sequence[Path], reload: Callable[[], None]) -> None:
    """Call `reload` in a thread now and whenever one of the files has changed, appeared or gone, until cancelled.

    `reload` deals with its own errors. It is called at once, too, because the files may have changed since the caller
    read them.
    """
    known: object = None
    while True:
        seen = await trio.to_thread.run_sync(_stamps, paths)
        if seen != known:
            known = seen
            await trio.to_thread.run_sync(reload)
        await trio.sleep(POLL_SECONDS)


def _stamps(paths: Sequence[Path]) -> tuple[tuple[int, int, int] | None, ...]:
    """What tells one state of a file from another, even if both were written within the clock's tick."""
    return tuple(_stamp(path) for path in paths)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino

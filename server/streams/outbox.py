"""What waits to be sent to one client: all finals in order, and only the newest partial."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from server.monitoring.tally import Tally

ROOM: Final = 256
"""Frames in a line that is not crowded: finals of ten minutes and more, a few hundred bytes each."""


class Outbox:
    """A line of text frames, and behind it room for one partial.

    Whatever is put is kept: no final is ever lost. The session bounds it: it receives nothing while the outbox is
    `crowded`. A client that does not read at all is ended after a timeout, which empties it.
    """

    def __init__(self, tally: Tally) -> None:
        """`tally` counts the partials that are replaced before anyone takes them."""
        self._tally = tally
        self._frames: deque[str] = deque()
        self._partial: str | None = None
        self._closed = False
        self.deserted = False
        self._changed = trio.Event()

    @property
    def crowded(self) -> bool:
        """Whether so much waits that nothing should be taken on which there is more to say."""
        return len(self._frames) >= ROOM

    async def room(self) -> None:
        """Wait until it is not crowded."""
        await trio.lowlevel.checkpoint()
        while self.crowded:
            await self._changed.wait()

    def put(self, frame: str) -> None:
        """Add a frame. It goes before a partial that waits."""
        if not self._closed:
            self._frames.append(frame)
            self._wake()

    def put_final(self, frame: str) -> None:
        """Add a final, which supersedes the partial that waits."""
        self._partial = None
        self.put(frame)

    def put_partial(self, frame: str) -> None:
        """Replace the partial that waits."""
        if not self._closed:
            self._tally.conflated += self._partial is not None
            self._partial = frame
            self._wake()

    def reset(self) -> None:
        """Forget what waits; more may come."""
        self._frames.clear()
        self._partial = None
        self._wake()

    def close(self) -> None:
        """Take no more frames. What waits can still be taken."""
        self._closed = True
        self._wake()

    def desert(self) -> None:
        """Nobody will read any more: forget all, take no more."""
        self.deserted = True
        self.reset()
        self.close()

    def take_nowait(self) -> str | None:
        """The next frame, if one waits."""
        if self._frames:
            if self.crowded:
                self._wake()
            return self._frames.popleft()
        partial, self._partial = self._partial, None
        return partial

    async def take(self) -> str | None:
        """The next frame, waiting for one; None when the outbox is closed and empty."""
        await trio.lowlevel.checkpoint()
        while (frame := self.take_nowait()) is None and not self._closed:
            await self._changed.wait()
        return frame

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

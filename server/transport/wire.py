"""What a session needs of a connection: trio-websocket by `server.transport.websocket`, anything in tests."""

from __future__ import annotations

from typing import Protocol


class DisconnectedError(Exception):
    """The other side is gone. `clean` says that the connection was closed with a close frame, for whatever reason."""

    def __init__(self, *, clean: bool) -> None:
        super().__init__("the client has closed the connection" if clean else "the connection to the client broke off")
        self.clean = clean


class Wire(Protocol):
    """A connection that carries messages."""

    async def receive(self) -> bytes | str:
        """The next message. Cancelling loses none. Raises `DisconnectedError`."""
        ...

    async def send(self, text: str) -> None:
        """Send a text frame. Raises `DisconnectedError`."""
        ...

    async def ping(self) -> None:
        """Send a ping and wait for the answer. Raises `DisconnectedError`."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye and close. Does not raise when the other side is gone already."""
        ...

    def abort(self) -> None:
        """Cut the connection at once, without a goodbye: the other side does not read. `close` then does nothing."""
        ...

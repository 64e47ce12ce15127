"""The door of both ports: who comes in, by key and by origin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import parse_qs

import trio

from server.errors import ProtocolError, RefusedError
from server.protocol import Configure, decode, encode_error
from server.transport.unread import Unread
from server.transport.wire import DisconnectedError

if TYPE_CHECKING:
    from server.access.keys import KeyRing
    from server.access.origins import Origins
    from server.transport.wire import Wire

KEY_SECONDS: Final = 10.0
"""A client that means well sends its key right behind the handshake."""

POLICY_VIOLATION: Final = 1008
TRY_AGAIN_LATER: Final = 1013

NEEDS_KEY: Final = (
    'This server needs an API key: as the header "Authorization: Bearer KEY", as ?token=KEY, or in a stream as the '
    'first text frame {"Authorization": "KEY"}.'
)
WRONG_KEY: Final = "This API key is not known here, or has been revoked."


class Handshake(Protocol):
    """A request for a stream: its headers, by name in lower case, and the query of its address."""

    @property
    def query(self) -> str: ...  # noqa: D102 - see above

    def header(self, name: str) -> str | None: ...  # noqa: D102 - see above


class Door:
    """Decides who comes in. `keys` is None where nobody needs one."""

    def __init__(self, keys: KeyRing | None, origins: Origins) -> None:
        self._keys = keys
        self.origins = origins

    @property
    def locked(self) -> bool:
        """Whether it takes a key to come in."""
        return self._keys is not None

    def visitor(self, request: Handshake) -> str | None:
        """Who asks for a stream; None if no key is needed or it is still to come, in the first frame.

        Raises `RefusedError` for a wrong key, host or page.
        """
        host = request.header("host")
        self.origins.check_host(host)
        self.origins.check_page(request.header("origin"), host)
        return self.holder(request.header("authorization"), request.query)

    def holder(self, authorization: str | None, query: str) -> str | None:
        """Who shows a key in a request's Authorization header or its query: the name of the key's holder.

        None if no key is needed, or none is shown. Raises `RefusedError` for a wrong one.
        """
        shown = presented(authorization, query)
        return None if self._keys is None or shown is None else self._recognise(shown)

    async def ask(self, wire: Wire) -> tuple[str, Wire]:
        """Wait for the key that a client sends in its first frame.

        Returns the holder's name, and a wire for the session, which gets to see that frame too. Raises
        `RefusedError` for anything but a right key, or if none comes in time, and `DisconnectedError`.
        """
        with trio.move_on_after(KEY_SECONDS):
            frame = await wire.receive()
            return self._recognise(_key_in(frame)), Unread(wire, frame)
        raise RefusedError(401, "unauthorized", NEEDS_KEY)

    def _recognise(self, secret: str) -> str:
        holder = self._keys.holder(secret) if self._keys else None
        if holder is None:
            raise RefusedError(401, "unauthorized", WRONG_KEY)
        return holder


async def turn_away(wire: Wire, refused: RefusedError) -> None:
    """Tell a client whose handshake has been answered already why it may not go on, and close."""
    with trio.move_on_after(KEY_SECONDS):
        try:
            await wire.send(encode_error(refused.code, str(refused)))
        except DisconnectedError:
            return
    await wire.close(POLICY_VIOLATION if refused.retry_after is None else TRY_AGAIN_LATER, refused.code)


def presented(authorization: str | None, query: str) -> str | None:
    """The key in an Authorization header, behind "Bearer" or bare, or else the token of a query; None if neither."""
    if authorization is not None and (words := authorization.split(maxsplit=1)):
        bearer = len(words) > 1 and words[0].lower() == "bearer"
        return words[1].strip() if bearer else authorization.strip()
    tokens = parse_qs(query).get("token")
    return tokens[0] if tokens else None


def _key_in(frame: bytes | str) -> str:
    try:
        command = decode(frame) if isinstance(frame, str) else None
    except ProtocolError:
        command = None
    if not isinstance(command, Configure) or command.key is None:
        raise RefusedError(401, "unauthorized", NEEDS_KEY)
    return presented(command.key, "") or ""

"""The streams that clients may come back to, by their IDs; and how a client asks for one: `?resume=ID&finals=N`.

An ID has 128 random bits and is told to the client of the stream alone: to guess one is hopeless at any rate at which
a server answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from server.errors import ProtocolError
from server.protocol import EXPORT_ID

if TYPE_CHECKING:
    from server.streams.session import Session


@dataclass(frozen=True, slots=True)
class Resumption:
    """A wish to go on with a stream; the client has the first `finals` of its finals."""

    export_id: str
    finals: int = 0

    @property
    def possible(self) -> bool:
        """Whether streams have IDs like this one."""
        return EXPORT_ID.fullmatch(self.export_id) is not None


def requested(query: str) -> Resumption | None:
    """The resumption that a URL's query asks for, if it asks for one. Raises `ProtocolError` if it makes no sense."""
    try:
        fields = parse_qs(query, keep_blank_values=True, max_num_fields=20)
    except ValueError as error:
        raise ProtocolError("bad_resume", "The query of the URL makes no sense.") from error
    if "resume" not in fields:
        return None
    finals = fields.get("finals", ["0"])[-1]
    if not (finals.isascii() and finals.isdigit() and len(finals) < 10):  # noqa: PLR2004 - no stream has a billion
        raise ProtocolError("bad_resume", "In ?resume=ID&finals=N, N is how many finals the client has.")
    return Resumption(fields["resume"][-1], int(finals))


class Resumptions:
    """The sessions that go on now."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def add(self, export_id: str, session: Session) -> None:
        """A stream has begun."""
        self._sessions[export_id] = session

    def remove(self, export_id: str) -> None:
        """It has ended."""
        del self._sessions[export_id]

    def find(self, export_id: str) -> Session | None:
        """The stream with this ID, if it can be gone on with."""
        session = self._sessions.get(export_id)
        return session if session is not None and session.resumable else None

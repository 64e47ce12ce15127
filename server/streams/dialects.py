"""The ways to talk to a client: what is said when. Each path of the WebSocket port has its own.

A dialect is told what happens in a stream and puts text frames into the client's outbox; it never waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from engine import types
from engine.types import SAMPLE_RATE
from server.protocol import WireFinal, WirePartial, WireResumed, encode, encode_error, wire_final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.streams.outbox import Outbox


class Dialect(Protocol):
    """What happens in a stream, in the order in which it happens."""

    rate: int
    """Samples a second of the client's PCM if it does not say."""
    resumable: bool
    """Whether a client whose connection broke off may come back."""

    def say(self, event: types.Event) -> None:
        """There is a new partial or final."""
        ...

    def complain(self, code: str, sentence: str) -> None:
        """The client did something wrong, or the server cannot do what it should."""
        ...

    def heard(self) -> None:
        """A frame of audio has been taken in."""
        ...

    def flushed(self) -> None:
        """The client has asked for a final of all it has sent."""
        ...

    def settled(self) -> None:
        """No final is waited for: what was flushed, or ended by a pause, has been said."""
        ...

    def resumed(self, export_id: str, received: int, finals: Sequence[WireFinal]) -> None:
        """The client is back. So many bytes of PCM have arrived, and these finals it has not got.

        Whatever waits to be sent is void.
        """
        ...

    def ended(self, export_id: str | None) -> None:
        """All has been said. The export is on the disk under this ID, or could not be stored (None)."""
        ...


class Native:
    """The protocol of `docs/protocol.md`: partials and finals as they come, the export's ID at the end."""

    rate = SAMPLE_RATE
    resumable = True

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def say(self, event: types.Event) -> None:
        """See `Dialect`."""
        if isinstance(event, types.Final):
            self._outbox.put_final(encode(wire_final(event)))
        else:
            self._outbox.put_partial(encode(WirePartial(event.text)))

    def complain(self, code: str, sentence: str) -> None:
        """See `Dialect`."""
        self._outbox.put(encode_error(code, sentence))

    def heard(self) -> None:
        """Nothing is said: the client need not wait for anything."""

    def flushed(self) -> None:
        """The final says it all."""

    def settled(self) -> None:
        """Likewise."""

    def resumed(self, export_id: str, received: int, finals: Sequence[WireFinal]) -> None:
        """See `Dialect`."""
        self._outbox.reset()
        self._outbox.put(encode(WireResumed(export_id, received)))
        for final in finals:
            self._outbox.put_final(encode(final))

    def ended(self, export_id: str | None) -> None:
        """See `Dialect`."""
        if export_id is not None:
            self._outbox.put(export_id)


class Vosk:
    """Vosk's lockstep: exactly one reply to each frame of audio, to a reset and to eof, and nothing in between.

    Source: the samples of vosk-server, whose clients block until each reply has come. An error has no reply of its
    own there; it travels with the next one, in fields that such clients pass over.
    """

    rate = 8_000
    resumable = False

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._partial = ""
        self._finals: list[WireFinal] = []
        self._error: tuple[str, str] | None = None
        self._owes_final = False

    def say(self, event: types.Event) -> None:
        """See `Dialect`."""
        if isinstance(event, types.Final):
            self._finals.append(wire_final(event))
            self._partial = ""
        else:
            self._partial = event.text.strip()

    def complain(self, code: str, sentence: str) -> None:
        """See `Dialect`."""
        self._error = (code, sentence)

    def heard(self) -> None:
        """See `Dialect`."""
        if self._finals:
            self._put_final()
        else:
            self._put({"partial": self._partial})

    def flushed(self) -> None:
        """See `Dialect`."""
        self._owes_final = True

    def settled(self) -> None:
        """See `Dialect`."""
        if self._owes_final:
            self._put_final()

    def resumed(self, export_id: str, received: int, finals: Sequence[WireFinal]) -> None:
        """Never happens: a client in lockstep does not know which replies it missed."""

    def ended(self, export_id: str | None) -> None:
        """See `Dialect`. The ID has been in the handshake's answer."""
        del export_id
        self._put_final()

    def _put_final(self) -> None:
        """All finals since the last reply, as one; `{"text": ""}` if there are none."""
        result = tuple(word for final in self._finals for word in final.result)
        text = "".join(final.text for final in self._finals).strip()
        self._finals.clear()
        self._owes_final = False
        self._put({"result": result, "text": text} if result else {"text": ""})

    def _put(self, reply: dict[str, object]) -> None:
        if self._error is not None:
            reply |= {"error": self._error[0], "message": self._error[1]}
            self._error = None
        self._outbox.put(encode(reply))


DIALECTS: Final[Mapping[str, type[Native | Vosk]]] = {"/": Native, "/vosk": Vosk}
"""By path."""

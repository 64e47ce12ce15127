"""TLS for both ports: a certificate from files, and a listener that does each handshake with the newest one."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import trio

from server.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ALPN_WEB: Final = ("h2", "http/1.1")
ALPN_WEBSOCKET: Final = ("http/1.1",)
"""A client that is offered HTTP/2 would speak it; the WebSocket port upgrades from 1.1 only."""

Transport = TypeVar("Transport", bound=trio.abc.Stream)

_logger = logging.getLogger(__name__)


class Certificate:
    """A certificate chain and its key, as they were in their files when last read. `reload` when those have changed."""

    def __init__(self, chain: Path, key: Path) -> None:
        """Read the files (PEM). Raises `StartupError` if they do not make a certificate."""
        self.paths = (chain, key)
        self._contexts = self._load()

    def context(self, protocols: Sequence[str]) -> ssl.SSLContext:
        """The newest one, for a server that offers `ALPN_WEB` or `ALPN_WEBSOCKET`. Not to be kept."""
        return self._contexts[tuple(protocols)]

    def reload(self) -> None:
        """Read the files again. Connections from now on get what is in them; if that is broken, what was before."""
        try:
            self._contexts = self._load()
        except StartupError as error:
            _logger.error("%s The certificate from before stays in force.", error)  # noqa: TRY400 - it says it all
        else:
            _logger.info("The TLS certificate of %s is in force", self.paths[0])

    def _load(self) -> dict[tuple[str, ...], ssl.SSLContext]:
        return {protocols: self._make(protocols) for protocols in (ALPN_WEB, ALPN_WEBSOCKET)}

    def _make(self, protocols: tuple[str, ...]) -> ssl.SSLContext:
        # Always a new context: a file that does not fit the other would leave an old one with half of each.
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)  # TLS 1.2 and 1.3
        context.set_alpn_protocols(protocols)
        chain, key = self.paths
        try:
            # With an empty password, an encrypted key is refused; without one, OpenSSL would ask on the terminal.
            context.load_cert_chain(chain, key, password="")
        except ssl.SSLError as error:
            raise StartupError(
                f"{chain} and {key} are no certificate with its key: {error.reason or 'not PEM'}. "
                "Both must be PEM files and belong together, and the key must not be encrypted."
            ) from error
        except OSError as error:
            raise StartupError(f"The TLS files {chain} and {key} cannot be read: {error.strerror}.") from error
        return context


class TlsListener(trio.abc.Listener[trio.SSLStream[Transport]], Generic[Transport]):
    """Gives out connections that shake hands with the newest certificate, when they are first used."""

    def __init__(
        self, listener: trio.abc.Listener[Transport], certificate: Certificate, protocols: Sequence[str]
    ) -> None:
        self._listener = listener
        self._certificate = certificate
        self._protocols = protocols

    async def accept(self) -> trio.SSLStream[Transport]:
        """Wait for a connection. The handshake is not awaited here: a slow client holds up nobody else."""
        stream = await self._listener.accept()
        # "https_compatible": no waiting for a goodbye that most clients do not send. What is carried has ends of its
        # own (WebSocket's close, HTTP's lengths), so one that was cut off is noticed.
        return trio.SSLStream(
            stream, self._certificate.context(self._protocols), server_side=True, https_compatible=True
        )

    async def aclose(self) -> None:
        """Stop listening."""
        await self._listener.aclose()

"""What protects a server, put together from its settings: keys, origins and a certificate, kept up with their files."""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from server.access.door import Door
from server.access.keys import KeyRing
from server.access.origins import Origins, parse
from server.access.tls import Certificate
from server.errors import KeyFileError, StartupError
from server.transport.ports import addresses
from server.transport.watching import watch

if TYPE_CHECKING:
    from server.settings.table import Settings

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Security:
    """`door` decides who comes in. `certificate` is None without TLS, `keys` where nobody needs one."""

    door: Door
    certificate: Certificate | None
    keys: KeyRing | None

    async def keep_up(self) -> None:
        """Read keys and certificate again whenever their files change, until cancelled."""
        async with trio.open_nursery() as nursery:
            if self.keys is not None:
                nursery.start_soon(watch, [self.keys.path], self.keys.reload)
            if self.certificate is not None:
                nursery.start_soon(watch, self.certificate.paths, self.certificate.reload)


async def secure(settings: Settings) -> Security:
    """Read what the settings name. Blocks on the disk: for the start of a server.

    Raises `StartupError` if a file cannot be used, there is no such host, or other machines could connect
    and nothing keeps them out.
    """
    loopback = await trio.to_thread.run_sync(_only_loopback, settings.host)
    if not (loopback or settings.keys_file or settings.insecure):
        raise StartupError(
            f"Other machines can connect to {settings.host}, and no keys keep them out. Make one with "
            "`trioscribe keys add NAME --keys-file FILE` and start with --keys-file FILE; or listen on 127.0.0.1; or "
            "say --insecure, if the network itself keeps strangers away."
        )
    try:
        keys = KeyRing(Path(settings.keys_file)) if settings.keys_file else None
    except KeyFileError as error:
        raise StartupError(f"{error} `trioscribe keys add NAME` makes it, with a first key.") from error
    certificate = Certificate(Path(settings.tls_cert), Path(settings.tls_key)) if settings.tls_cert else None
    if keys is not None and not len(keys):
        _logger.warning("There is no key in %s: nobody can come in", keys.path)
    if not loopback and certificate is None:
        _logger.warning(
            "Without TLS, whoever sits between can read audio, text and keys; tls_cert and tls_key set it up"
        )
    origins = Origins(parse(settings.origins), guard_host=loopback and keys is None)
    return Security(Door(keys, origins), certificate, keys)


def _only_loopback(host: str) -> bool:
    """Whether only this machine can connect to sockets that listen on `host`. Raises `StartupError` for none."""
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for _, address in addresses(host))

"""The TCP ports of the server: both are opened here, so that both are to be reached at the same addresses."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from server.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Iterator

BACKLOG: Final = 1024
"""Connections that wait to be accepted: a crowd that comes at once. The kernel has a limit of its own."""

ABSENT: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
REMEDIES: Final = dict.fromkeys(ABSENT, "This machine has no such address; 0.0.0.0 or :: means all that it has.") | {
    errno.EADDRINUSE: "Stop what is using it (ss -ltnp shows it), or choose another port.",
    errno.EACCES: "A port below 1024 takes a privilege; choose a higher one.",
}

Address = tuple[socket.AddressFamily, tuple[Any, ...]]


def addresses(host: str) -> list[Address]:
    """The addresses of a host, by name or as they are, for sockets. Blocks. Raises `StartupError` if there is none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, ValueError) as error:  # what cannot be a name at all is a UnicodeError
        reason = error.strerror if isinstance(error, OSError) else "not a name"
        raise StartupError(
            f"{host!r} is no address to listen on: {reason}. Use 0.0.0.0, :: or the name of this host."
        ) from error
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


@contextmanager
def listening(name: str, host: str, port: int) -> Iterator[list[socket.socket]]:
    """Listen on a port (0 for a free one) at all addresses of a host, until the block is left. Blocks.

    `::` takes IPv4 connections, too. An address that only the name has, and not this machine, is passed over while
    there is another. `name` is the port's in the `StartupError` that is raised if it cannot be had.
    """
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    with ExitStack() as stack:
        for family, address in addresses(host):
            try:
                own_port = sockets[0].getsockname()[1] if sockets else port
                opened = stack.enter_context(_open(family, (address[0], own_port, *address[2:])))
            except OSError as error:
                if error.errno not in ABSENT:
                    raise _unopened(name, host, port, error) from error
                missing = error
            else:
                sockets.append(opened)
        if not sockets:
            assert missing is not None  # noqa: S101 - a host without addresses is refused before
            raise _unopened(name, host, port, missing) from missing
        yield sockets


def _open(family: socket.AddressFamily, address: tuple[Any, ...]) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        opened.bind(address)
        opened.listen(BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def _unopened(name: str, host: str, port: int, error: OSError) -> StartupError:
    remedy = REMEDIES.get(error.errno or 0, "")
    return StartupError(f"The {name} port {port} on {host} cannot be opened: {error.strerror}. {remedy}".rstrip())

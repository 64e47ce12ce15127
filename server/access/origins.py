"""Which web pages may use the server: browsers tell where a page comes from (Origin, RFC 6454)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from server.errors import RefusedError

ANY: Final = "*"
ORIGIN: Final = re.compile(r"https?://[^\s/,?#@\\]+|null|\*", re.ASCII | re.IGNORECASE)
LIST: Final = re.compile(rf"(?:(?:{ORIGIN.pattern})(?:\s*,\s*|$))*", re.ASCII | re.IGNORECASE)
"""A setting: origins with commas between them, or nothing."""

DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origins:
    """The origins that are allowed besides the server's own host.

    `guard_host`: whether a request must name a host that only this machine can be. A server that anyone may use who
    reaches it, on loopback, needs that: a hostile page can let its own name point to 127.0.0.1 (DNS rebinding), and
    its requests then look like those of the server's own host. A name in the Host header gives them away.
    """

    allowed: frozenset[str] = frozenset()
    guard_host: bool = False

    def check_host(self, host: str | None) -> None:
        """Raises `RefusedError` if the Host header is not one of this machine and has to be."""
        name = _hostname(f"//{host}") if host else None
        if self.guard_host and name is not None and not self._ours(name):
            raise RefusedError(
                403, "host_not_allowed", "This server is for its own machine: connect to localhost or 127.0.0.1."
            )

    def check_page(self, origin: str | None, host: str | None) -> None:
        """Raises `RefusedError` for a page from elsewhere. `host` is the header of the same request."""
        if origin is None or self.listed(origin) or self._same_host(origin, host):
            return
        raise RefusedError(
            403, "origin_not_allowed", "Pages of this origin may not use the server; its setting origins allows them."
        )

    def listed(self, origin: str) -> bool:
        """Whether the settings name this origin."""
        return ANY in self.allowed or _canonical(origin) in self.allowed

    def _same_host(self, origin: str, host: str | None) -> bool:
        page, server = _hostname(origin), _hostname(f"//{host}")
        return page is not None and (page == server or (_is_loopback(page) and _is_loopback(server)))

    def _ours(self, name: str) -> bool:
        if _is_loopback(name) or ANY in self.allowed:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in {_hostname(origin) for origin in self.allowed}
        return True  # an address cannot be made to point elsewhere


def parse(setting: str) -> frozenset[str]:
    """The origins in a setting that matches `LIST`."""
    return frozenset(_canonical(origin) for origin in re.split(r"[\s,]+", setting) if origin)


def _canonical(origin: str) -> str:
    """As browsers write it: lower case, without the port that the scheme implies."""
    text = origin.strip().lower().rstrip("/")
    scheme, colon, port = text.rpartition(":")
    implied = DEFAULT_PORTS.get(text.partition(":")[0])
    return scheme if colon and implied is not None and port == str(implied) else text


def _is_loopback(name: str | None) -> bool:
    if name is None or name == "localhost" or name.endswith(".localhost"):  # which browsers resolve by themselves
        return name is not None
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None

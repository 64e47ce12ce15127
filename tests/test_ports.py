"""The ports: at which addresses they are to be reached, and what is said when they cannot be had."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import trio

from server.errors import StartupError
from server.transport.ports import listening
from tests.conftest import running

IPV6 = Path("/proc/net/if_inet6")
needs_ipv6 = pytest.mark.skipif(not IPV6.exists() or "lo" not in IPV6.read_text(), reason="there is no IPv6 here")


def reached(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError:
        return False
    return True


@needs_ipv6
async def test_all_addresses_means_ipv4_and_ipv6_on_both_ports(tmp_path: Path) -> None:
    async with running(tmp_path, host="::", insecure=True) as client:
        for port in (client.app.port, client.app.rest_port):
            for host in ("127.0.0.1", "::1"):
                assert await trio.to_thread.run_sync(reached, host, port), (host, port)


@needs_ipv6
def test_an_ipv6_address_is_that_address_only() -> None:
    with listening("REST", "::1", 0) as (listener,):
        port = listener.getsockname()[1]
        assert listener.family == socket.AF_INET6
        assert reached("::1", port)
        assert not reached("127.0.0.1", port)


@needs_ipv6
def test_all_addresses_of_a_name_have_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, "::1", "127.0.0.1", "127.0.0.1")
    with listening("REST", "both.example", 0) as listeners:
        assert len(listeners) == 2
        assert reached("::1", listeners[0].getsockname()[1])
        assert reached("127.0.0.1", listeners[0].getsockname()[1])


def test_an_address_that_only_the_name_has_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, "203.0.113.1", "127.0.0.1")
    with listening("REST", "both.example", 0) as (listener,):
        assert reached("127.0.0.1", listener.getsockname()[1])
    names(monkeypatch, "203.0.113.1", "203.0.113.2")
    with pytest.raises(StartupError, match="This machine has no such address"), listening("REST", "both.example", 0):
        pass


def names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let the name both.example have these addresses."""
    look_up = socket.getaddrinfo
    found = [answer for each in addresses for answer in look_up(each, None, type=socket.SOCK_STREAM)]

    def answer(host: str, *args: Any, **options: Any) -> Any:
        return found if host == "both.example" else look_up(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def test_a_port_in_use_is_explained() -> None:
    with listening("REST", "127.0.0.1", 0) as (taken,):
        port = taken.getsockname()[1]
        with (
            pytest.raises(StartupError, match=rf"REST port {port} on 127\.0\.0\.1 cannot be opened: .*Stop what is us"),
            listening("REST", "127.0.0.1", port),
        ):
            pass


def test_an_address_of_another_machine_is_explained() -> None:
    with (
        pytest.raises(StartupError, match=r"WebSocket port 0 on 203\.0\.113\.1 .*This machine has no such address"),
        listening("WebSocket", "203.0.113.1", 0),
    ):
        pass


def test_a_port_for_the_privileged_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(_socket: socket.socket, _address: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(socket.socket, "bind", forbid)
    with (
        pytest.raises(StartupError, match=r"Permission denied\. A port below 1024 takes a privilege"),
        listening("REST", "127.0.0.1", 80),
    ):
        pass


@pytest.mark.parametrize("host", ["no such host", "192.168..5", "a\0b", "fe80::1%nowhere"])
def test_what_is_no_address_is_explained(host: str) -> None:
    with pytest.raises(StartupError, match="is no address to listen on"), listening("REST", host, 0):
        pass

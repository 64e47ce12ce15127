"""Which pages may use the server, by what browsers say of themselves."""

from __future__ import annotations

import pytest

from server.access.origins import Origins, parse
from server.errors import RefusedError, SettingsError
from server.settings.table import Settings


def page_is_let_in(origins: Origins, origin: str | None, host: str | None) -> bool:
    try:
        origins.check_page(origin, host)
    except RefusedError:
        return False
    return True


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "hall:8394", True),  # no browser
        ("http://hall", "hall:8394", True),
        ("https://HALL:8443", "hall:8394", True),
        ("http://localhost:8000", "127.0.0.1:8394", True),
        ("http://[::1]:8000", "localhost:8394", True),
        ("http://evil.example", "hall:8394", False),
        ("http://hall.evil.example", "hall:8394", False),
        ("http://evil.example/hall", "hall:8394", False),
        ("http://hall@evil.example", "hall:8394", False),
        ("http://localhost.evil.example", "localhost:8394", False),
        ("http://10.0.0.7", "127.0.0.1:8394", False),
        ("null", "hall:8394", False),
        ("", "hall:8394", False),
        ("", "", False),
        ("http://[", "[", False),
        ("null", None, False),
    ],
)
def test_without_a_setting_only_the_own_host(origin: str | None, host: str | None, allowed: bool) -> None:
    assert page_is_let_in(Origins(), origin, host) is allowed


@pytest.mark.parametrize(
    ("setting", "origin", "allowed"),
    [
        ("https://a.example", "https://a.example", True),
        ("https://A.example:443/".rstrip("/"), "https://a.example", True),
        ("https://a.example, http://b.example:8080", "http://b.example:8080", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example", "https://b.a.example", False),
        ("null", "null", True),
        ("*", "https://anything.example", True),
        ("*", "null", True),
    ],
)
def test_pages_that_the_setting_names(setting: str, origin: str, allowed: bool) -> None:
    origins = Settings(origins=setting).origins
    assert page_is_let_in(Origins(parse(origins)), origin, "hall:8394") is allowed


@pytest.mark.parametrize("setting", ["a.example", "https://a.example/page", "ftp://a.example", "https://", "* b"])
def test_a_setting_that_names_no_origin_is_refused(setting: str) -> None:
    with pytest.raises(SettingsError, match="origins such as"):
        Settings(origins=setting)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:8393", True),
        ("localhost:8393", True),
        ("[::1]:8393", True),
        ("192.168.1.5", True),  # an address cannot be made to point elsewhere
        ("captions.example:8393", True),  # the setting names it
        (None, True),  # no browser
        ("evil.example:8393", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
    ],
)
def test_a_name_that_points_here_and_is_not_ours_gives_rebinding_away(host: str | None, allowed: bool) -> None:
    origins = Origins(parse("https://captions.example"), guard_host=True)
    if allowed:
        origins.check_host(host)
    else:
        with pytest.raises(RefusedError, match="for its own machine"):
            origins.check_host(host)
    Origins().check_host(host)

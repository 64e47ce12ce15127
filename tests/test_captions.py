"""Captions in a terminal, as a person sees them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from server.client.captions import LiveCaptions, clock
from server.client.connection import Received, understand
from tests.scripted_server import ERROR, FINAL, PARTIAL


def received(raw: str) -> Received:
    return Received(0.0, raw, understand(raw))


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def live(screen: io.StringIO) -> LiveCaptions:
    console = Console(file=screen, force_terminal=True, color_system=None, width=80, height=20)
    return LiveCaptions(console, "talk.flac", 65.0)


def test_a_final_stays_with_its_time_and_its_brackets(live: LiveCaptions, screen: io.StringIO) -> None:
    with live:
        live.show(received(FINAL))
    assert "0:00  Das [b].\n" in screen.getvalue()


def test_the_partial_grows_below_and_goes_with_its_final(live: LiveCaptions, screen: io.StringIO) -> None:
    with live:
        live.show(received(PARTIAL))
        live.note("between")  # draws what is live once more
        assert "Das" in screen.getvalue()
        live.show(received(FINAL))
        screen.truncate(0)
        live.note("after")
    assert "Das" not in screen.getvalue()


def test_progress_shows_where_the_audio_is(live: LiveCaptions, screen: io.StringIO) -> None:
    with live:
        live.sent(61.0)
        live.note("now")
    assert "talk.flac" in screen.getvalue()
    assert "1:01 / 1:05" in screen.getvalue()


def test_an_error_of_the_server_is_shown(live: LiveCaptions, screen: io.StringIO) -> None:
    with live:
        live.show(received(ERROR))
    assert "Send audio." in screen.getvalue()


@pytest.mark.parametrize(("seconds", "said"), [(0, "0:00"), (59.99, "0:59"), (61, "1:01"), (3723.4, "1:02:03")])
def test_times_are_written_as_on_a_player(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def test_an_address_is_not_broken_by_the_width_of_the_terminal(live: LiveCaptions, screen: io.StringIO) -> None:
    address = "http://127.0.0.1:8393/export/transcript/0123456789abcdef0123456789abcdef"
    live.note(f"Transcript: {address}")
    assert address in screen.getvalue()

"""TLS on both ports, with certificates from an authority made for the test, as clients that check them meet it."""

from __future__ import annotations

import shutil
import ssl
from typing import TYPE_CHECKING

import pytest
import trio
import trustme

from server.access.tls import Certificate
from server.app import serve
from server.errors import SettingsError, StartupError
from server.settings.table import Settings
from tests.conftest import PATIENCE, running
from tests.speech import clips
from tests.visitors import Visitor, stream_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SPEECH = {clip.name: clip.pcm for clip in clips()}


class Files:
    """A certificate and its key, as an operator has them."""

    def __init__(self, folder: Path) -> None:
        self.chain = folder / "cert.pem"
        self.key = folder / "key.pem"

    def write(self, authority: trustme.CA) -> None:
        issued = authority.issue_cert("localhost", "127.0.0.1")
        issued.private_key_pem.write_to_path(str(self.key))
        self.chain.unlink(missing_ok=True)
        for pem in issued.cert_chain_pems:
            pem.write_to_path(str(self.chain), append=True)


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(tmp_path: Path, authority: trustme.CA) -> Files:
    files = Files(tmp_path)
    files.write(authority)
    return files


@pytest.fixture
async def visitor(tmp_path: Path, files: Files, authority: trustme.CA) -> AsyncIterator[Visitor]:
    async with running(tmp_path / "data", tls_cert=str(files.chain), tls_key=str(files.key)) as client:
        yield Visitor(client.app, tls=trusting(authority))


async def test_a_stream_and_its_export_over_tls(visitor: Visitor) -> None:
    outcome = await visitor.talk(SPEECH["en-coffee"], "eof")
    assert outcome.words[-1]["word"] == "tea?"
    assert outcome.code == 1000
    status, _, body = await visitor.ask(f"/export/transcript/{outcome.export_id}?format=txt")
    assert (status, body.decode().split()[-1]) == (200, "tea?")
    _, _, wav = await visitor.ask(f"/export/audio/{outcome.export_id}")
    assert wav[44:] == SPEECH["en-coffee"]


async def test_each_port_offers_the_protocols_that_it_speaks(visitor: Visitor, authority: trustme.CA) -> None:
    for port, offered, chosen in (
        (visitor.app.port, ["h2", "http/1.1"], "http/1.1"),
        (visitor.app.rest_port, ["h2", "http/1.1"], "h2"),
        (visitor.app.rest_port, ["http/1.1"], "http/1.1"),
    ):
        context = trusting(authority)
        context.set_alpn_protocols(offered)
        stream = await Visitor(visitor.app, tls=context).connect(port)
        assert isinstance(stream, trio.SSLStream)
        assert stream.selected_alpn_protocol() == chosen
        assert stream.version() == "TLSv1.3"
        await trio.aclose_forcefully(stream)
        old = trusting(authority)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.minimum_version = ssl.TLSVersion.TLSv1_2
        await trio.aclose_forcefully(await Visitor(visitor.app, tls=old).connect(port))


async def test_those_that_speak_no_tls_or_do_not_trust_it_disturb_nobody(visitor: Visitor) -> None:
    async with visitor.stream() as ws:
        await ws.send_message(SPEECH["en-coffee"])
        for port in (visitor.app.port, visitor.app.rest_port):
            for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\0" * 300, b""):
                stranger = await trio.open_tcp_stream("127.0.0.1", port)
                await stranger.send_all(garbage)
                await stranger.aclose()
            with pytest.raises(trio.BrokenResourceError):
                await Visitor(visitor.app, tls=ssl.create_default_context()).connect(port)
        await ws.send_message("eof")
        frames: list[str | bytes] = []
        with trio.fail_after(PATIENCE):
            while len(frames) == 0 or len(frames[-1]) != 32:
                frames.append(await ws.get_message())
    assert "tea?" in frames[-2]
    assert (await visitor.ask("/health"))[0] == 200


async def test_a_new_certificate_is_used_from_the_next_handshake_on(
    visitor: Visitor, files: Files, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    """Half written, then a wrong pair, then the right one: the old one serves until all is well."""
    successor = trustme.CA()
    renewed = Visitor(visitor.app, tls=trusting(successor))
    async with visitor.stream() as ws:
        await ws.send_message(bytes(3200))
        for broken in ("half", "pair", "gone"):
            caplog.clear()
            if broken == "half":
                files.chain.write_text(files.chain.read_text()[:300])
            elif broken == "pair":
                other = Files(files.chain.parent / "other")
                other.chain.parent.mkdir()
                other.write(successor)
                shutil.copy(other.chain, files.chain)
            else:
                files.chain.unlink()
            with trio.fail_after(PATIENCE):
                while "stays in force" not in caplog.text:
                    await trio.sleep(0.05)
            for port in (visitor.app.port, visitor.app.rest_port):
                await trio.aclose_forcefully(await visitor.connect(port))

        files.write(successor)
        with trio.fail_after(PATIENCE):
            for port in (visitor.app.port, visitor.app.rest_port):
                while True:
                    try:
                        await trio.aclose_forcefully(await renewed.connect(port))
                        break
                    except trio.BrokenResourceError:
                        await trio.sleep(0.1)
        with pytest.raises(trio.BrokenResourceError):
            await visitor.connect(visitor.app.port)
        await ws.send_message("eof")  # the stream from before goes on with what it has
        assert len(await ws.get_message()) == 32
    assert authority is not successor


async def test_a_handshake_that_is_never_finished_holds_nobody_up(visitor: Visitor) -> None:
    stalled = [await trio.open_tcp_stream("127.0.0.1", port) for port in (visitor.app.port, visitor.app.rest_port) * 20]
    for stream in stalled:
        await stream.send_all(b"\x16\x03\x01")
    with trio.fail_after(PATIENCE):
        assert (await visitor.talk("eof")).code == 1000
        assert (await visitor.ask("/health"))[0] == 200
    for stream in stalled:
        await stream.aclose()


def test_files_that_make_no_certificate_are_refused_with_the_reason(
    tmp_path: Path, files: Files, authority: trustme.CA
) -> None:
    other = Files(tmp_path / "other")
    other.chain.parent.mkdir()
    other.write(authority)
    (tmp_path / "text").write_text("no certificate")
    with pytest.raises(
        StartupError, match=r"cert\.pem and .*key\.pem are no certificate with its key: KEY_VALUES_MISM"
    ):
        Certificate(files.chain, other.key)
    with pytest.raises(StartupError, match=r"text .*no certificate"):
        Certificate(tmp_path / "text", files.key)
    with pytest.raises(StartupError, match=r"none cannot be read: No such file"):
        Certificate(files.chain, tmp_path / "none")


async def test_a_server_does_not_start_with_half_a_certificate(tmp_path: Path, files: Files) -> None:
    with pytest.raises(SettingsError, match="tls_cert and tls_key go together"):
        Settings(tls_cert=str(files.chain))
    files.key.write_text("")
    with pytest.raises(StartupError, match="no certificate"):
        await serve(Settings(port=0, rest_port=0, data_dir=tmp_path, tls_cert=str(files.chain), tls_key=str(files.key)))


async def test_the_programs_own_client_checks_the_certificate(
    visitor: Visitor, authority: trustme.CA, tmp_path: Path
) -> None:
    app, saved, trusted = visitor.app, tmp_path / "talk.txt", tmp_path / "authority.pem"
    where = ["--url", f"wss://localhost:{app.port}/", "--rest-url", f"https://localhost:{app.rest_port}"]
    told = await stream_command(*where, "--save", str(saved))
    assert told.returncode == 1
    assert b"is not trusted" in told.stderr
    assert told.stderr.count(b"\n") == 1
    authority.cert_pem.write_to_path(str(trusted))
    done = await stream_command(*where, "--save", str(saved), SSL_CERT_FILE=str(trusted))
    assert done.returncode == 0, done.stderr
    assert "tea?" in saved.read_text()
    astray = await stream_command("--url", f"ws://localhost:{app.port}/")
    assert astray.returncode == 1
    assert astray.stderr.count(b"\n") == 1

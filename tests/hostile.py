"""What strangers send: noise, half-sensible requests and frames, and goodbyes that are none."""

from __future__ import annotations

import base64
import random
import socket
import struct
from typing import Final

import trio

KEY: Final = base64.b64encode(bytes(16)).decode()
PATHS: Final = (
    "/",
    "/vosk",
    "/?resume=" + "0" * 32,
    "/exports",
    "/export/audio/../../etc/passwd",
    "/health",
    "/%00",
    "/" * 999,
)


def upgrade(path: str = "/") -> bytes:
    """A good handshake."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def hostile(chance: random.Random) -> bytes:
    """One input: noise, a request with noise in it, or frames with noise in them behind a good handshake."""
    noise = chance.randbytes(chance.choice([0, 1, 7, 100, 2_000]))
    path = chance.choice(PATHS)
    kind = chance.choice(["noise", "headers", "body", "damaged", "early data", "frame"])
    if kind == "noise":
        return noise
    if kind == "headers":
        return f"GET {path} HTTP/1.1\r\n".encode() + noise
    if kind == "body":
        method, length = chance.choice(["GET", "DELETE", "PUT", "X"]), chance.randrange(-9, 10**9)
        return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode() + noise
    if kind == "damaged":
        damaged = bytearray(upgrade(path))
        for _ in range(chance.randrange(1, 5)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        return bytes(damaged)
    if kind == "early data":
        return upgrade(path) + noise
    payload = chance.choice([b"eof", b'{"config": {"sample_rate": 1e999}}', b"{" * 500, noise, bytes(3_200)])
    return upgrade(path) + noisy_frame(chance, payload)


def noisy_frame(chance: random.Random, payload: bytes) -> bytes:
    """A frame with any opcode, whole or cut off, its length now and then a lie."""
    length = len(payload) if chance.random() < 0.8 else chance.randrange(2**16)
    whole = frame(chance.choice([0, 1, 2, 3, 8, 9, 10, 15]), payload, length)
    return whole if chance.random() < 0.9 else whole[: chance.randrange(len(whole))]


def frame(opcode: int, payload: bytes, length: int | None = None) -> bytes:
    """A masked WebSocket frame (RFC 6455, 5.2) that says it is `length` bytes long, the truth by default."""
    length = len(payload) if length is None else length
    if length < 126:  # the shortest form is the only one that is allowed
        size = bytes([0x80 | length])
    elif length < 2**16:
        size = bytes([0x80 | 126]) + length.to_bytes(2, "big")
    else:
        size = bytes([0x80 | 127]) + length.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + size + bytes(4) + payload


def reset_on_close(stream: trio.SocketStream) -> None:
    """Closing is a reset (RST) from now on."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def throw(port: int, data: bytes, *, reset: bool = False) -> bytes:
    """Send an input, look at what comes for a moment, and go; with `reset`, without a goodbye."""
    got = b""
    try:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            if reset:
                reset_on_close(stream)
            await stream.send_all(data)
            with trio.move_on_after(0.02):
                got = bytes(await stream.receive_some(4_096))
    except (OSError, trio.BrokenResourceError):
        pass  # the server may close whenever it likes
    return got

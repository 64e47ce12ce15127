"""The command `trioscribe stream`: audio to a server, captions to the terminal, the transcript to a file."""

from __future__ import annotations

import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from engine.types import SAMPLE_RATE
from server.client.audio_source import open_source
from server.client.captions import captions
from server.client.connection import connect
from server.client.frames import Frames
from server.client.transcript_file import audio_url, check_target, rest_url, save, transcript_url
from server.errors import ClientError

if TYPE_CHECKING:
    from pathlib import Path

    from server.client.captions import Captions
    from server.client.connection import Transcription
    from server.protocol import StreamConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to stream, where to, and what to do with the captions.

    `source` is a file, `-` or `mic`; `rate` is that of raw PCM on standard input, in Hz; `rest` is guessed
    from `url` if None; `fast` sends as fast as the server takes it; `save_as` names its format by its suffix.
    """

    source: str
    url: str
    rest: str | None = None
    config: StreamConfig | None = None
    key: str | None = None
    rate: int = SAMPLE_RATE
    fast: bool = False
    raw: bool = False
    save_as: Path | None = None


async def listen(order: Order) -> None:
    """Carry an order out. Ctrl-C ends the audio and waits for the rest of the transcript; twice leaves at once.

    Raises `SourceError`, `ClientError` or `SaveError`, alone or in a group; whether the transcript can be
    saved is found out before anything is sent.
    """
    if order.save_as:
        check_target(order.save_as)
    async with open_source(order.source, rate=order.rate) as source:
        frames = Frames(source, paced=not order.fast)
        async with connect(order.url, config=order.config, key=order.key) as transcription:
            with captions(order.source, source.duration_s, raw=order.raw) as shown:
                await _converse(transcription, frames, shown)
    export_id = transcription.export_id
    rest = order.rest or rest_url(order.url)
    if export_id is None:
        return
    shown.note(f"Transcript: {transcript_url(rest, export_id)}")
    shown.note(f"Audio:      {audio_url(rest, export_id)}")
    if order.save_as:
        await save(rest, export_id, order.save_as, key=order.key)
        shown.note(f"Saved:      {order.save_as}")


async def _converse(transcription: Transcription, frames: Frames, shown: Captions) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_speak, transcription, frames, shown)
        nursery.start_soon(_mind_interrupts, frames, shown)
        async for received in transcription:
            shown.show(received)
        nursery.cancel_scope.cancel()


async def _speak(transcription: Transcription, frames: Frames, shown: Captions) -> None:
    with suppress(ClientError):  # the receiving side fails too, and knows why
        async for frame in frames:
            await transcription.send(frame)
            shown.sent(frames.samples / SAMPLE_RATE)
        await transcription.eof()


async def _mind_interrupts(frames: Frames, shown: Captions) -> None:
    with trio.open_signal_receiver(signal.SIGINT) as interrupts:
        async for _ in interrupts:
            if frames.stopped:
                raise KeyboardInterrupt
            frames.stop()
            shown.note("Waiting for the rest of the transcript; Ctrl-C once more leaves at once.")

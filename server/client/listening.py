"""The command `trioscribe stream`: audio to a server, captions to the terminal, the transcript to a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.types import SAMPLE_RATE
from server.client.audio_source import open_source
from server.client.captions import captions
from server.client.frames import Frames
from server.client.talk import Talk
from server.client.tape import Tape
from server.client.transcript_file import audio_url, check_target, rest_url, save, transcript_url
from server.errors import ClientError

if TYPE_CHECKING:
    from pathlib import Path

    from server.protocol import StreamConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to stream, where to, and what to do with the captions.

    `source` is a file or an address, `-` or `mic`; `rate` is that of raw PCM on standard input, in Hz; `device` the
    number of the microphone or a part of its name; `rest` is where the server says, if None, or guessed from `url`;
    `fast` sends as fast as the server takes it; `save_as` names its format by its suffix.
    """

    source: str
    url: str
    rest: str | None = None
    config: StreamConfig | None = None
    key: str | None = None
    rate: int = SAMPLE_RATE
    device: int | str | None = None
    fast: bool = False
    raw: bool = False
    save_as: Path | None = None


async def listen(order: Order) -> None:
    """Carry an order out. Ctrl-C ends the audio and waits for the rest of the transcript; twice leaves at once.

    A connection that breaks off is followed by another. Raises `ClientError`, or alone or in a group `SourceError` or
    `SaveError`; whether the transcript can be saved is found out before anything is sent.
    """
    if order.save_as:
        check_target(order.save_as)
    async with open_source(order.source, rate=order.rate, device=order.device) as source:
        live = source.live or not order.fast  # it comes at the speed of speech
        frames = Frames(source, paced=not order.fast)
        with captions(order.source, source.duration_s, raw=order.raw) as shown:
            talk = Talk(
                order.url,
                frames,
                Tape(frames, live=live),
                shown,
                config=order.config,
                key=order.key,
                watched=live,
            )
            try:
                await talk.run()
            except ClientError:
                if talk.stream_id is not None:
                    shown.note(f"What was heard will be at {transcript_url(_rest(order, talk), talk.stream_id)}")
                raise
    export_id = talk.export_id
    if export_id is None:
        return
    rest = _rest(order, talk)
    shown.note(f"Transcript: {transcript_url(rest, export_id)}")
    shown.note(f"Audio:      {audio_url(rest, export_id)}")
    if order.save_as:
        await save(rest, export_id, order.save_as, key=order.key)
        shown.note(f"Saved:      {order.save_as}")


def _rest(order: Order, talk: Talk) -> str:
    return order.rest or rest_url(order.url, talk.rest_port)

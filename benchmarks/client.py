"""A client that paces its audio and stamps all that comes back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import trio

from benchmarks.speech import BYTES_PER_SECOND
from server.client.connection import ExportId, connect
from server.errors import ClientError
from server.protocol import StreamConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.speech import Silence, Speech
    from server.client.connection import Received, Transcription

PATIENCE: Final = 120.0
"""Seconds to wait for the rest after `eof`; a server that needs longer has lost the stream."""


@dataclass(frozen=True, slots=True)
class Output:
    """A partial or a final: its words, when it came, and where it says that they start (finals only).

    Times in seconds from when the first sample was spoken.
    """

    at: float
    final: bool
    words: tuple[str, ...]
    starts: tuple[float, ...] = ()


@dataclass(slots=True)
class Journal:
    """One connection as its client saw it. Times in seconds from when its first sample was spoken.

    `held_up` is the longest time for which the server kept a frame from being sent. `failure` says why the stream
    did not come to its end, if it did not.
    """

    speech: Speech | Silence
    began: float = 0.0
    """On the clock of `trio.current_time`."""
    outputs: list[Output] = field(default_factory=list)
    eof_at: float | None = None
    id_at: float | None = None
    held_up: float = 0.0
    failure: str | None = None


async def stream(
    url: str,
    speech: Speech | Silence,
    *,
    language: str | None = None,
    paced: bool = True,
    on_seconds: Callable[[float], None] = lambda _: None,
) -> Journal:
    """Say it at 1x, or as fast as the server takes it; then `eof`. A failure is noted, not raised.

    `language`: a code, "auto", or None for that of the speech. `on_seconds` is told of audio sent, for progress.
    """
    journal = Journal(speech)
    config = StreamConfig(language=language or speech.language)
    try:
        async with connect(url, config=config) as transcription, trio.open_nursery() as nursery:
            journal.began = trio.current_time()
            nursery.start_soon(_speak, transcription, journal, paced, on_seconds)
            async for received in transcription:
                _note(journal, received)
            nursery.cancel_scope.cancel()
    except* (ClientError, trio.TooSlowError) as errors:
        journal.failure = str(errors.exceptions[0])
    return journal


async def _speak(
    transcription: Transcription, journal: Journal, paced: bool, on_seconds: Callable[[float], None]
) -> None:
    said = 0
    for frame in journal.speech.frames():
        said += len(frame)
        due = journal.began + said / BYTES_PER_SECOND
        if paced:
            await trio.sleep_until(due)
        await transcription.send(frame)
        if paced:
            journal.held_up = max(journal.held_up, trio.current_time() - due)
        on_seconds(len(frame) / BYTES_PER_SECOND)
    # When it should have been sent: a server that holds its clients up must not be measured as quicker for it.
    journal.eof_at = said / BYTES_PER_SECOND if paced else trio.current_time() - journal.began
    await transcription.eof()
    with trio.fail_after(PATIENCE):
        await trio.sleep_forever()


def _note(journal: Journal, received: Received) -> None:
    at = received.at - journal.began
    if isinstance(received.message, ExportId):
        journal.id_at = at
        return
    try:
        fields: dict[str, Any] = json.loads(received.raw)
    except ValueError:
        return
    if "error" in fields:
        journal.failure = journal.failure or str(fields.get("message", fields["error"]))
    elif "partial" in fields:
        journal.outputs.append(Output(at, False, tuple(fields["partial"].split())))
    elif "text" in fields:
        result = fields.get("result") or []
        words = tuple(entry["word"] for entry in result) if result else tuple(fields["text"].split())
        journal.outputs.append(Output(at, True, words, tuple(entry["start"] for entry in result)))

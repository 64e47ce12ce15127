r"""The wire: text frames to commands, events to messages, messages to text frames. Pure; no socket, no clock.

Decoding is lenient in form (`eof`, ` EOF\n` and `{"eof": 1}` mean the same) and strict in meaning: what is not
understood raises `ProtocolError` with a sentence for the client, and the stream goes on. `docs/protocol.md` is
the contract for clients.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, Final

import msgspec

from engine import types
from server.errors import ProtocolError

MAX_TEXT_CHARS: Final = 64 * 1024
"""Longest control frame that is looked at: the longest sensible one holds a prompt of a few hundred words."""

LANGUAGE: Final = re.compile(r"auto|[a-z]{2,3}")
SAMPLE_RATES: Final = range(8_000, 48_001)

EXPORT_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
"""What IDs of streams, and of their exports, look like."""

ID_HEADER: Final = b"Trioscribe-Export-Id"
"""In the answer to a handshake: the ID that the stream's export will have."""

REST_PORT_HEADER: Final = b"Trioscribe-Rest-Port"
"""Likewise: the port of the same host where the export will be."""


class WireWord(msgspec.Struct, frozen=True):
    """One word of a final: `start` and `end` in seconds from the stream's first sample, `conf` 0 to 1."""

    conf: float
    end: float
    start: float
    word: str


class WireFinal(msgspec.Struct, frozen=True):
    """A final as it is sent, and as it is stored: one JSON object a line in `finals.jsonl`."""

    result: tuple[WireWord, ...]
    text: str


class WirePartial(msgspec.Struct, frozen=True):
    """The words of the utterance so far."""

    partial: str


class WireResumed(msgspec.Struct, frozen=True):
    """The stream goes on: its ID, and how many bytes of audio have arrived in all."""

    resumed: str
    bytes: int


class WireQueued(msgspec.Struct, frozen=True):
    """The client's place in the line, from 1; 0 when its stream begins."""

    queued: int


class WireError(msgspec.Struct, frozen=True):
    """What went wrong: a stable code for programs, a sentence for people."""

    error: str
    message: str


class Eof(msgspec.Struct, frozen=True):
    """The client has said all it has to say: finish, store, answer with the export's ID, close."""


class Flush(msgspec.Struct, frozen=True):
    """Make a final of what has been said so far, and stay open."""


class StreamConfig(msgspec.Struct, frozen=True):
    """What a client may set for its own stream before the first audio; None leaves the server's setting."""

    sample_rate: int | None = None
    language: str | None = None
    task: str | None = None
    prompt: str | None = None
    partials: str | None = None


class Configure(msgspec.Struct, frozen=True):
    """A control frame with a configuration, an API key, or both."""

    config: StreamConfig | None = None
    key: str | None = None


Command = Eof | Flush | Configure


def encode(message: msgspec.Struct | dict[str, object]) -> str:
    """The text frame for a message."""
    return msgspec.json.encode(message).decode()


def encode_error(code: str, message: str) -> str:
    """The text frame that tells a client what it did wrong, or what the server could not do."""
    return encode(WireError(code, message))


def wire_final(final: types.Final) -> WireFinal:
    """A final in seconds, with the words bare of spaces. Times are exact to the microsecond."""
    return WireFinal(
        tuple(
            WireWord(round(word.confidence, 6), _seconds(word.end), _seconds(word.start), word.text.strip())
            for word in final.words
        ),
        final.text,
    )


def decode(text: str) -> Command:
    """The command in a text frame.

    Raises `ProtocolError` for anything else: the message says what would have been understood.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise ProtocolError("too_long", f"A text frame may have at most {MAX_TEXT_CHARS} characters.")
    bare = text.strip()
    if bare.casefold() == "eof":
        return Eof()
    if not bare.startswith("{"):
        raise ProtocolError("unknown_command", "Send audio as binary frames; text frames are 'eof' or JSON objects.")
    try:
        fields = msgspec.json.decode(bare, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ProtocolError("bad_json", f"This text frame is not valid JSON: {error}.") from error
    if fields.get("eof"):
        return Eof()
    if fields.get("reset") or fields.get("flush"):
        return Flush()
    if "config" in fields or "Authorization" in fields:
        return Configure(_config(fields["config"]) if "config" in fields else None, _key(fields))
    raise ProtocolError(
        "unknown_command", 'Known commands: "eof", {"eof": 1}, {"reset": 1}, {"config": {...}}, {"Authorization": KEY}.'
    )


def _config(value: object) -> StreamConfig:
    if not isinstance(value, dict):
        raise ProtocolError("bad_config", '"config" must be a JSON object, like {"config": {"sample_rate": 16000}}.')
    # Unknown keys are let through: Vosk's clients send several (words, phrase_list, ...) that have no meaning here.
    return StreamConfig(
        sample_rate=_sample_rate(value["sample_rate"]) if value.get("sample_rate") is not None else None,
        language=_matching(value, "language", LANGUAGE, 'a code such as "de", or "auto"'),
        task=_matching(value, "task", re.compile("transcribe|translate"), '"transcribe" or "translate"'),
        prompt=_matching(value, "prompt", re.compile(r"(?s).{0,2000}"), "a text of at most 2000 characters"),
        partials=_matching(value, "partials", re.compile("stable|eager"), '"stable" or "eager"'),
    )


def _matching(config: dict[str, Any], key: str, allowed: re.Pattern[str], say: str) -> str | None:
    value = config.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not allowed.fullmatch(value):
        raise ProtocolError("bad_config", f'"{key}" must be {say}.')
    return value


def _sample_rate(value: object) -> int:
    """A rate as a number or a string (BigBlueButton sends "16000"); Vosk's clients send it as a float."""
    rate = 0.0
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            rate = float(value)
    if not rate.is_integer() or int(rate) not in SAMPLE_RATES:
        raise ProtocolError(
            "bad_config", f'"sample_rate" must be a whole number from {SAMPLE_RATES[0]} to {SAMPLE_RATES[-1]}.'
        )
    return int(rate)


def _key(fields: dict[str, Any]) -> str | None:
    key = fields.get("Authorization")
    if key is not None and not isinstance(key, str):
        raise ProtocolError("bad_authorization", '"Authorization" must be a string.')
    return key


def _seconds(samples: int) -> float:
    return round(samples / types.SAMPLE_RATE, 6)

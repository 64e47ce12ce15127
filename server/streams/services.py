"""What the streams of a server share, and what a client may choose for its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from server.monitoring.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.policy import Policy
    from engine.vad import SpeechDetector
    from server.exports.store import Store
    from server.inference.pool import InferencePool
    from server.protocol import StreamConfig


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How long what may take, in seconds; `docs/configuration.md` has the reasons.

    `stall`: without audio, until what was said becomes final. `send_timeout`: until a client that does not read is
    ended. `idle`: without anything, until the stream is finished. `ping`: of silence until a client is pinged, and
    until it has to answer. `resume`: until a client whose connection broke off has to be back. `stream`: of audio in
    all. With `record_or_end` a stream that cannot be stored is ended, else it goes on without a recording.
    """

    stall: float
    send_timeout: float
    idle: float = math.inf
    ping: float = math.inf
    resume: float = 0.0
    stream: float = math.inf
    record_or_end: bool = True


@dataclass(frozen=True, slots=True)
class Services:
    """What the streams of a server share. `languages` are Whisper's codes."""

    store: Store
    pool: InferencePool
    detector: Callable[[], SpeechDetector]
    policy: Policy
    languages: frozenset[str]
    model: str
    limits: StreamLimits
    tally: Tally = field(default_factory=Tally)


def chosen(policy: Policy, config: StreamConfig) -> Policy:
    """The policy with what a client has set for its stream."""
    return replace(
        policy,
        language=config.language or policy.language,
        task=config.task or policy.task,
        prompt=policy.prompt if config.prompt is None else config.prompt,
        eager=policy.eager if config.partials is None else config.partials == "eager",
    )

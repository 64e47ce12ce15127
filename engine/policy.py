"""How a stream becomes a transcript: the settings of the streaming core."""

from __future__ import annotations

from dataclasses import dataclass

from engine.types import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Policy:
    """Durations in samples.

    `agreement`: hypotheses that must agree. `endpoint`: silence that ends an utterance. `max_utterance`: a final is
    due after this even in unbroken speech. `step`: least new audio between two windows. `trim`: windows longer than
    this are shortened at a settled word. `max_window`: windows are never longer. `language`: a code or "auto".
    `carry_prompt`: whether the model bears being told what was said before.
    """

    agreement: int = 2
    endpoint: int = SAMPLE_RATE * 6 // 10
    max_utterance: int = 15 * SAMPLE_RATE
    step: int = SAMPLE_RATE // 2
    trim: int = 6 * SAMPLE_RATE
    max_window: int = 8 * SAMPLE_RATE
    language: str = "auto"
    task: str = "transcribe"
    prompt: str = ""
    eager: bool = False
    carry_prompt: bool = True

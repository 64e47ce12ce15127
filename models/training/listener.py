"""A ggml model behind whisper.cpp, as the evaluation uses it: greedy, with word times by whisper.cpp's means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import _pywhispercpp as pw

from engine.whisper import CTX_GRAIN, CTX_MARGIN, SAMPLES_PER_POSITION
from models.architecture import POSITIONS

if TYPE_CHECKING:
    from pathlib import Path

    from models.training.surroundings import Samples

TICK_S: Final = 0.01
"""whisper.cpp's unit of time."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A word; its start in seconds by DTW over the cross-attention of the top layer, and by token timestamps."""

    text: str
    by_dtw: float
    by_token: float


class Listener:
    """One context of whisper.cpp on one thread.

    `dtw`: whether it is to find word times by DTW. whisper.cpp 1.8 ends the process where a window has less than 160 ms
    for that, so it is for windows of a second or more, without timestamps.
    """

    def __init__(self, path: Path, *, dtw: bool = False) -> None:
        parameters = pw.whisper_context_default_params()
        parameters.use_gpu = False
        # It hides the attention that DTW reads; and with it, what is heard in a short context was seen to depend on
        # longer windows heard before (whisper.cpp 1.8.5).
        parameters.flash_attn = False
        parameters.dtw_token_timestamps = dtw
        parameters.dtw_aheads_preset = pw.WHISPER_AHEADS_N_TOP_MOST
        parameters.dtw_n_top = 1
        self._context = pw.whisper_init_from_file_with_params(str(path), parameters)

    def hear(
        self, samples: Samples, language: str, *, timestamps: bool = False, context: int | None = None
    ) -> list[Heard]:
        """Transcribe a window of up to 30 s. `context`: encoder positions; just enough if None."""
        parameters = self._parameters(samples, context)
        parameters.language = language
        parameters.no_timestamps = not timestamps
        parameters.token_timestamps = True
        if pw.whisper_full(self._context, parameters, samples, len(samples)) != 0:
            raise RuntimeError("whisper.cpp failed")
        return self._words()

    def detect(self, samples: Samples) -> str:
        """The code of the language that the model takes a window for."""
        parameters = self._parameters(samples, None)
        parameters.language = "auto"
        parameters.detect_language = True
        pw.whisper_full(self._context, parameters, samples, len(samples))
        return str(pw.whisper_lang_str(pw.whisper_full_lang_id(self._context)))

    def _parameters(self, samples: Samples, context: int | None) -> pw.whisper_full_params:
        parameters = pw.whisper_full_default_params(pw.whisper_sampling_strategy.WHISPER_SAMPLING_GREEDY)
        needed = math.ceil((math.ceil(len(samples) / SAMPLES_PER_POSITION) + CTX_MARGIN) / CTX_GRAIN) * CTX_GRAIN
        parameters.audio_ctx = min(POSITIONS, context or needed)
        parameters.n_threads = 1  # more would wait for each other where the cores have other work
        parameters.no_context = True
        parameters.suppress_blank = True
        parameters.suppress_nst = True
        parameters.temperature = 0.0
        parameters.temperature_inc = 0.0
        parameters.print_progress = False
        return parameters

    def _words(self) -> list[Heard]:
        words: list[tuple[bytes, float, float]] = []
        end = pw.whisper_token_eot(self._context)
        for segment in range(pw.whisper_full_n_segments(self._context)):
            for index in range(pw.whisper_full_n_tokens(self._context, segment)):
                token = pw.whisper_full_get_token_data(self._context, segment, index)
                if token.id >= end:
                    continue
                text = pw.whisper_token_to_bytes(self._context, token.id)
                if text.startswith(b" ") or not words:
                    words.append((text, token.t_dtw * TICK_S, token.t0 * TICK_S))
                else:
                    words[-1] = (words[-1][0] + text, *words[-1][1:])
        return [Heard(text.decode(errors="replace").strip(), *times) for text, *times in words]

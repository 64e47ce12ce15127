"""whisper.cpp behind the recognizer protocol; the only file that imports pywhispercpp.

The low-level bindings are called directly, for `pywhispercpp.model.Model` discards `whisper_full`'s return code and
the tokens. Every decode parameter that matters is set for every window, whatever the library's defaults are.
"""

from __future__ import annotations

import math
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import _pywhispercpp as pw

from engine.agreement import cut_loops
from engine.errors import AbortedError, ModelError
from engine.types import Hypothesis, Window, Word
from engine.word_times import align
from engine.words import Token, spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_AUDIO_CTX: Final = 1500
SAMPLES_PER_POSITION: Final = 320
"""One position of the encoder covers 20 ms."""

CTX_MARGIN: Final = 32
CTX_GRAIN: Final = 32
"""`audio_ctx` covers the window and `CTX_MARGIN` positions (0.64 s) more, rounded up to this grain. The margin is what
FUTO's fine-tunes for short windows ship with; twice of both took a tenth more CPU and heard the bundled model's windows
no better (`docs/performance.md`)."""


TILED: Final = "LLAMAFILE"
"""The feature of matrix products that the recipe `native` builds in, and packages from the index lack."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """How a model is to be used: `audio_ctx_floor` is the least encoder context that it works with (0 to 1500)."""

    audio_ctx_floor: int = 0


def languages() -> frozenset[str]:
    """The codes of the languages that multilingual models know."""
    return frozenset(str(pw.whisper_lang_str(index)) for index in range(pw.whisper_lang_max_id() + 1))


def features() -> frozenset[str]:
    """What the whisper.cpp that is installed was built with: instruction sets ("AVX2") and libraries ("LLAMAFILE")."""
    return frozenset(re.findall(r"(\w+) = 1", pw.whisper_print_system_info()))


@contextmanager
def logging_to(listener: Callable[[str], None]) -> Iterator[None]:
    """Inside, what whisper.cpp logs in this process goes to `listener`, from any thread, not to standard error."""
    pw.whisper_log_set(lambda _level, text: listener(text))
    try:
        yield
    finally:
        # A native library that still holds a Python function when the interpreter ends takes the process down.
        pw.whisper_log_set(None)


class WhisperRecognizer:
    """One whisper.cpp context: its own copy of the weights, one recognition at a time."""

    def __init__(self, path: Path, decoding: Decoding) -> None:
        """Load a ggml model file, which must be a sound one (`models.ggml.check`).

        The bindings give no sign of a file that whisper.cpp cannot load, and end the process when it is used.
        """
        context = pw.whisper_context_default_params()
        context.use_gpu = False
        # Flash attention pads the context to multiples of 256 positions, with what a longer window left there: words
        # of one stream would bend those of another. Without it an inference takes 1 to 2 % more CPU.
        context.flash_attn = False
        self._ctx = pw.whisper_init_from_file_with_params(str(path), context)
        self._decoding = decoding
        self._multilingual = bool(pw.whisper_is_multilingual(self._ctx))
        self._eot = pw.whisper_token_eot(self._ctx)

    def recognize(self, window: Window, *, threads: int, should_abort: Callable[[], bool]) -> Hypothesis:
        """See `engine.recognizer.Recognizer`. Samples that are not finite raise `ModelError`."""
        context = self._audio_ctx(window)
        run = _Run(self._ctx, window, context, threads, should_abort)
        language = window.language if self._multilingual else "en"
        run.full(language)
        words = self._words(window, language)
        if context < MAX_AUDIO_CTX and len(cut_loops((), words)) < len(words):
            # Stock weights know the full context alone and repeat themselves in short ones (whisper.cpp issue 1117).
            run = _Run(self._ctx, window, MAX_AUDIO_CTX, threads, should_abort)
            run.full(language)
            words = self._words(window, language)
        if window.detect and self._multilingual:
            # Detection uses the encoder context length of the call before it, which is the one we want, and
            # clears that call's result.
            detected = run.detect()
            if detected != language:
                language = detected
                run.full(language)
                words = self._words(window, language)
        return Hypothesis(words, language)

    def close(self) -> None:
        """Free the context. The bindings do not do it on their own."""
        pw.whisper_free(self._ctx)

    def _audio_ctx(self, window: Window) -> int:
        needed = math.ceil(len(window.samples) / SAMPLES_PER_POSITION) + CTX_MARGIN
        needed = max(needed, self._decoding.audio_ctx_floor)
        return min(MAX_AUDIO_CTX, math.ceil(needed / CTX_GRAIN) * CTX_GRAIN)

    def _words(self, window: Window, language: str) -> tuple[Word, ...]:
        tokens = [
            Token(pw.whisper_token_to_bytes(self._ctx, token), pw.whisper_full_get_token_p(self._ctx, segment, index))
            for segment in range(pw.whisper_full_n_segments(self._ctx))
            for index in range(pw.whisper_full_n_tokens(self._ctx, segment))
            if (token := pw.whisper_full_get_token_id(self._ctx, segment, index)) < self._eot
        ]
        words = spoken(tokens, language)
        starts, ends = align(window.samples, [word.text.strip() for word in words])
        return tuple(
            Word(word.text, window.start + start, window.start + end, word.confidence)
            for word, start, end in zip(words, starts, ends, strict=True)
        )


class _Run:
    """One window on one context."""

    def __init__(
        self, ctx: pw.whisper_context, window: Window, audio_ctx: int, threads: int, should_abort: Callable[[], bool]
    ) -> None:
        self._ctx = ctx
        self._samples = window.samples
        self._abort = _Abort(should_abort)
        self._params = pw.whisper_full_default_params(pw.whisper_sampling_strategy.WHISPER_SAMPLING_GREEDY)
        params = self._params
        params.n_threads = threads
        params.audio_ctx = audio_ctx
        params.translate = window.task == "translate"
        params.initial_prompt = window.prompt
        params.no_context = True
        params.no_timestamps = True
        params.token_timestamps = False
        params.single_segment = False
        params.suppress_blank = True
        params.suppress_nst = True
        params.temperature = 0.0
        params.temperature_inc = 0.0  # a fallback at a higher temperature costs a whole decode and invents words
        params.print_progress = False
        pw.assign_abort_callback(params, self._abort)

    def full(self, language: str) -> None:
        self._params.language = language
        self._params.detect_language = False
        self._call()

    def detect(self) -> str:
        self._params.language = "auto"
        self._params.detect_language = True
        self._call()
        return str(pw.whisper_lang_str(pw.whisper_full_lang_id(self._ctx)))

    def _call(self) -> None:
        code = pw.whisper_full(self._ctx, self._params, self._samples, len(self._samples))
        if self._abort.asked:
            raise AbortedError("nobody waits for this window any more")
        if code != 0:
            raise ModelError(f"whisper.cpp failed on a window of {len(self._samples)} samples (code {code})")


class _Abort:
    """The question whether to go on, and whether the answer was ever no.

    It must know nothing of the run: the native parameters hold it, and no cycle through them is ever collected.
    """

    def __init__(self, should_abort: Callable[[], bool]) -> None:
        self._should_abort = should_abort
        self.asked = False

    def __call__(self) -> bool:
        self.asked = self.asked or self._should_abort()
        return self.asked

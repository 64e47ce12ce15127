"""espeak-ng through its C library: many voices, and an event at the start of nearly every word.

Source of the numbers: espeak-ng's `speak_lib.h`. It needs Debian's libespeak-ng1.
"""

from __future__ import annotations

import ctypes as c
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.training.utterance import Utterance, finish, spread

if TYPE_CHECKING:
    from models.training.utterance import Pcm

SYNCHRONOUS: Final = 2
RATE, PITCH, RANGE = 1, 3, 4
"""Parameters: words a minute; 0 to 100; 0 to 100."""

UTF8: Final = 1
LAST, WORD, END = 0, 1, 5
"""Kinds of event: end of the list, start of a word, end of a clause."""


class _Event(c.Structure):
    _fields_ = [("type", c.c_int), ("uid", c.c_uint), ("position", c.c_int), ("length", c.c_int),
                ("audio_ms", c.c_int), ("sample", c.c_int), ("user_data", c.c_void_p),
                ("id", c.c_char * 8)]  # fmt: skip


class Espeak:
    """The library, which is one for the whole process."""

    def __init__(self) -> None:
        self._lib = c.CDLL("libespeak-ng.so.1")
        self._libc = c.CDLL(None)
        self._rate = int(self._lib.espeak_Initialize(SYNCHRONOUS, 0, None, 0))
        self._blocks: list[Pcm] = []
        self._events: list[tuple[int, int, int]] = []
        callback = c.CFUNCTYPE(c.c_int, c.POINTER(c.c_short), c.c_int, c.POINTER(_Event))
        self._callback = callback(self._collect)  # kept: the library holds only the pointer
        self._lib.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: Any, count: int, events: Any) -> int:  # noqa: ANN401 - pointers of ctypes
        if samples and count > 0:
            self._blocks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        index = 0
        while events[index].type != LAST:
            event = events[index]
            self._events.append((event.type, event.position - 1, event.sample))
            index += 1
        return 0

    def say(  # noqa: PLR0913 - these make a speaker
        self,
        language: str,
        voice: str,
        text: str,
        *,
        rate: int = 160,
        pitch: int = 50,
        tones: int = 50,
        size: float = 1,
    ) -> Utterance | None:
        """Speak a sentence. `voice` as in "en-us+f2"; `size` above 1 raises pitch and formants. None without sound.

        Raises `ValueError` for an unknown voice.
        """
        self._blocks, self._events = [], []
        self._libc.srand(1)  # it draws its noise from rand(): no utterance may depend on those before it
        if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        for parameter, value in ((RATE, rate), (PITCH, pitch), (RANGE, tones)):
            self._lib.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        self._lib.espeak_Synth(data, len(data) + 1, 0, 1, 0, UTF8, None, None)
        if not self._blocks:
            return None
        audio, second = np.concatenate(self._blocks), self._rate * size
        began = {at: sample / second for kind, at, sample in reversed(self._events) if kind == WORD}
        words, starts, at = text.split(), [], 0
        for word in words:
            starts.append(began.get(at))
            at += len(word) + 1
        if starts[0] is None:
            return None
        limits = [sample / second for kind, _, sample in self._events if kind == END]
        return finish(language, voice, spread(words, starts, limits, len(audio) / second), audio, second)

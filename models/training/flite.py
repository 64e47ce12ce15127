"""flite through its C library: four English voices, and the segments of every word.

It needs Debian's libflite1. Sources: flite's `cst_voice.h`, `cst_wave.h`, `cst_item.h`.
"""

from __future__ import annotations

import ctypes as c
from typing import Any, Final

import numpy as np

from models.training.utterance import Utterance, timed

MEAN_PITCH: Final = {"slt": 170.0, "rms": 95.0, "awb": 120.0, "kal16": 100.0}
"""The voices, and about what they speak at by themselves (Hz)."""


class _Wave(c.Structure):
    _fields_ = [("type", c.c_char_p), ("rate", c.c_int), ("count", c.c_int), ("channels", c.c_int),
                ("samples", c.POINTER(c.c_short))]  # fmt: skip


class _Voice(c.Structure):
    _fields_ = [("name", c.c_char_p), ("features", c.c_void_p)]


class Flite:
    """The library, and one library for each voice."""

    def __init__(self) -> None:
        self._lib = c.CDLL("libflite.so.1", mode=c.RTLD_GLOBAL)
        self._libc = c.CDLL(None)
        self._lib.flite_init()
        for name in ("flite_synth_text", "utt_relation", "relation_head", "item_next"):
            getattr(self._lib, name).restype = c.c_void_p
        self._lib.utt_wave.restype = c.POINTER(_Wave)
        self._lib.flite_ffeature_float.restype = c.c_float
        self._lib.feat_set_float.argtypes = (c.c_void_p, c.c_char_p, c.c_float)
        self._voices = {name: self._register(name) for name in MEAN_PITCH}

    def _register(self, name: str) -> Any:  # noqa: ANN401 - a pointer of ctypes
        register = getattr(c.CDLL(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
        register.restype = c.POINTER(_Voice)
        return register(None)

    def say(self, voice: str, text: str, *, stretch: float = 1, pitch: float = 1, size: float = 1) -> Utterance | None:
        """Speak an English sentence. `stretch` and `pitch` are factors; `size` above 1 raises pitch and formants.

        None without sound, or where its words are not those of `text`.
        """
        self._libc.srand(1)
        features = self._voices[voice].contents.features
        self._lib.feat_set_float(features, b"duration_stretch", stretch)
        self._lib.feat_set_float(features, b"int_f0_target_mean", MEAN_PITCH[voice] * pitch)
        utterance = c.c_void_p(self._lib.flite_synth_text(text.encode(), self._voices[voice]))
        wave = self._lib.utt_wave(utterance).contents
        audio, rate = np.ctypeslib.as_array(wave.samples, shape=(wave.count,)).copy(), wave.rate * size
        item, spans = self._lib.relation_head(c.c_void_p(self._lib.utt_relation(utterance, b"Word"))), []
        while item:
            first, last = (self._lib.flite_ffeature_float(c.c_void_p(item), b"R:SylStructure." + path) for path in
                           (b"daughter1.daughter1.R:Segment.p.end", b"daughtern.daughtern.R:Segment.end"))  # fmt: skip
            spans.append((first / size, last / size))
            item = self._lib.item_next(c.c_void_p(item))
        self._lib.delete_utterance(utterance)
        return timed(f"flite-{voice}", text, spans, audio, rate)

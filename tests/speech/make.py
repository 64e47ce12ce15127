"""Make the speech fixtures: FLAC clips and truth.json, with the true time of every word, from clips.toml.

    python tests/speech/make.py [FOLDER]      needs libespeak-ng.so.1 and libflite with its voices

espeak-ng reports an event at the start of every word and phoneme; flite keeps its segments in the utterance.
Each sentence is spoken alone, cut to where it sounds, and laid on silence with chosen pauses.
"""

from __future__ import annotations

import ctypes as c
import json
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

RATE: Final = 16_000
EDGE_S: Final = 0.3  # silence before and after each clip
AUDIBLE: Final = 60  # of 32768: quieter samples at either end of a sentence are cut off
PEAK: Final = 0.5
WORD, END, PHONEME = 1, 5, 7  # the espeak-ng events read here

Samples = NDArray[np.float64]
Span = tuple[float, float]


class EspeakEvent(c.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = [("type", c.c_int), ("uid", c.c_uint), ("position", c.c_int), ("length", c.c_int),
                ("audio_ms", c.c_int), ("sample", c.c_int), ("user_data", c.c_void_p),
                ("phoneme", c.c_char * 8)]  # fmt: skip


class FliteWave(c.Structure):
    """cst_wave of cst_wave.h."""

    _fields_ = [("type", c.c_char_p), ("rate", c.c_int), ("count", c.c_int), ("channels", c.c_int),
                ("samples", c.POINTER(c.c_short))]  # fmt: skip


class Espeak:
    """libespeak-ng, in its synchronous mode: it calls back with samples and events."""

    def __init__(self) -> None:
        self._lib = c.CDLL("libespeak-ng.so.1")
        self._rate = int(self._lib.espeak_Initialize(2, 0, None, 1))  # 2: synchronous; 1: phoneme events too
        self._blocks: list[NDArray[np.int16]] = []
        self._events: list[tuple[int, int, int, str]] = []
        callback = c.CFUNCTYPE(c.c_int, c.POINTER(c.c_short), c.c_int, c.POINTER(EspeakEvent))
        self._callback = callback(self._collect)  # kept: the library holds only the pointer
        self._lib.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._blocks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        for event in iter(iter(events).__next__, None):
            if event.type == 0:
                break
            self._events.append((event.type, event.position - 1, event.sample, event.phoneme.decode("latin-1")))
        return 0

    def say(self, text: str, voice: str, rate: int) -> tuple[Samples, list[Span]]:
        """Speak one sentence; returns samples at 16 kHz and (start, end) seconds of each word."""
        self._blocks, self._events = [], []
        if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        self._lib.espeak_SetParameter(1, rate, 0)
        data = text.encode()
        self._lib.espeak_Synth(data, len(data) + 1, 0, 1, 0, 1, None, None)
        audio = np.concatenate(self._blocks)
        began = {at: sample for kind, at, sample, _ in reversed(self._events) if kind == WORD}
        starts, at, before = [], 0, 0
        for word in text.split():
            if at not in began and word == "the":  # "in the" is one event: take the last "th" of its phonemes
                began[at] = [s for kind, p, s, name in self._events if (kind, p, name) == (PHONEME, before, "D")][-1]
            starts.append(began[at])
            before, at = at, at + len(word) + 1
        clause_ends = [sample for kind, _, sample, _ in self._events if kind == END] + [len(audio)]
        spans = []
        for start, following in pairwise([*starts, len(audio)]):
            limit = min([following, *(sample for sample in clause_ends if sample > start)])
            spans.append((start / self._rate, (start + _sounding(audio[start:limit])[1]) / self._rate))
        return soxr.resample(audio / 32768, self._rate, RATE), spans


class Flite:
    """libflite and one library for each of its voices (16 kHz)."""

    def __init__(self) -> None:
        self._lib = c.CDLL("libflite.so.1", mode=c.RTLD_GLOBAL)
        self._lib.flite_init()
        for name in ("flite_synth_text", "utt_relation", "relation_head", "item_next"):
            getattr(self._lib, name).restype = c.c_void_p
        self._lib.utt_wave.restype = c.POINTER(FliteWave)
        self._lib.flite_ffeature_float.restype = c.c_float

    def say(self, text: str, voice: str) -> tuple[Samples, list[Span]]:
        """Speak one sentence; returns samples and (start, end) seconds of each word."""
        register = getattr(c.CDLL(f"libflite_cmu_us_{voice}.so.1"), f"register_cmu_us_{voice}")
        register.restype = c.c_void_p
        utterance = c.c_void_p(self._lib.flite_synth_text(text.encode(), c.c_void_p(register(None))))
        wave = self._lib.utt_wave(utterance).contents
        audio = np.ctypeslib.as_array(wave.samples, shape=(wave.count,)) / 32768
        words = c.c_void_p(self._lib.utt_relation(utterance, b"Word"))
        item, spans = self._lib.relation_head(words), []
        while item:
            first, last = (self._lib.flite_ffeature_float(c.c_void_p(item), b"R:SylStructure." + path) for path in
                           (b"daughter1.daughter1.R:Segment.p.end", b"daughtern.daughtern.R:Segment.end"))  # fmt: skip
            spans.append((first, last))
            item = self._lib.item_next(c.c_void_p(item))
        return audio, spans


def _sounding(audio: NDArray[Any], audible: float = AUDIBLE) -> tuple[int, int]:
    """First sample and one past the last sample that can be heard."""
    loud = np.flatnonzero(np.abs(audio) >= audible)
    return (int(loud[0]), int(loud[-1]) + 1) if loud.size else (0, len(audio))


def make(clip: dict[str, Any], espeak: Espeak, flite: Flite, folder: Path) -> dict[str, Any]:
    """Write one clip; returns its entry of truth.json."""
    program, voice, *rate = clip["voice"].split()
    c.CDLL(None).srand(1)  # both libraries draw their noise from rand(): no clip may depend on those before it
    edge = np.zeros(round(EDGE_S * RATE))
    pieces, words, now = [edge], [], EDGE_S
    for part in clip["parts"]:
        if isinstance(part, float):
            pieces.append(np.zeros(round(part * RATE)))
        else:
            audio, spans = espeak.say(part, voice, int(rate[0])) if program == "espeak-ng" else flite.say(part, voice)
            first, end = _sounding(audio, AUDIBLE / 32768)
            pieces.append(audio[first:end] * (PEAK / np.abs(audio).max()))
            for word, span in zip(part.split(), spans, strict=True):
                start, stop = (round(now + np.clip(t - first / RATE, 0, (end - first) / RATE), 3) for t in span)
                words.append({"word": word, "start": start, "end": stop})
        now = sum(map(len, pieces)) / RATE
    pcm = np.round(np.concatenate([*pieces, edge]) * 32767).astype(np.int16)
    file = f"{clip['name']}.flac"
    soundfile.write(folder / file, pcm, RATE, subtype="PCM_16")
    text = " ".join(word["word"] for word in words)
    return {"file": file, "language": clip["language"], "voice": clip["voice"], "text": text, "words": words}


def main(folder: Path) -> None:
    espeak, flite = Espeak(), Flite()
    clips = tomllib.loads((Path(__file__).parent / "clips.toml").read_text(encoding="utf-8"))["clip"]
    truth = [make(clip, espeak, flite, folder) for clip in clips]
    (folder / "truth.json").write_text(json.dumps(truth, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)

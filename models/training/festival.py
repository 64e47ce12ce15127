"""festival, a process for each voice: English voices of other makers than flite's, and when every word is said.

It needs Debian's festival, festvox-kdlpc16k and festvox-us-slt-hts, and RHVoice's data for two voices more. Source of
the commands: festival's manual, "Utterance I/O", "Parameters" and "General intonation" (linear regression); of the
HTS engine's: `fest2hts_engine.cc`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import soundfile

from models.training import rhvoice
from models.training.utterance import Utterance, timed

DIPHONES: Final = """
  (voice_ked_diphone)
  (Parameter.set 'Duration_Stretch {stretch:.3f})
  (set! int_lr_params '((target_f0_mean {mean:.1f}) (target_f0_std {deviation:.1f})
                        (model_f0_mean 170) (model_f0_std 34)))"""

HTS: Final = "(voice_cmu_us_slt_arctic_hts)"
"""At its own rate; the engine takes no pitch."""

OTHER_HTS: Final = """
  (voice_cmu_us_slt_arctic_hts)
  (set! hts_engine_params '(("-m" "{folder}/{voice}") ("-r" {rate:.3f})))"""
"""A voice of RHVoice in its place. The engine loads but one file for a voice's name, so the process must be its own."""

SPEAKERS: Final = {"ked": DIPHONES, "slt-hts": HTS, **dict.fromkeys(rhvoice.VOICES, OTHER_HTS)}
"""The voices, and the commands after which festival speaks with them."""

MEAN, DEVIATION = 105.0, 15.0
"""Of the pitch of ked (Hz)."""

SAY: Final = """(begin {speaker}
  (set! said (SynthText "{text}"))
  (utt.save.wave said "{file}" 'riff)
  (mapcar (lambda (word) (format t "%f %f " (item.feat word "word_start") (item.feat word "word_end")))
          (utt.relation.items said 'Word))
  (format t "\\n")
  (fflush nil))
"""


class Festival:
    """A process for each voice that spoke, which speaks a sentence at a time, until `close`."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        self._file = Path(self._folder.name) / "said.wav"
        self._processes: dict[str, subprocess.Popen[str]] = {}
        for voice in rhvoice.VOICES:
            (Path(self._folder.name) / voice).write_bytes(rhvoice.htsvoice(voice))

    def close(self) -> None:
        """End the processes."""
        for process in self._processes.values():
            process.communicate()
        self._folder.cleanup()

    def say(self, voice: str, text: str, *, stretch: float = 1, pitch: float = 1, size: float = 1) -> Utterance | None:
        """Speak an English sentence. `stretch` and `pitch` are factors; `size` above 1 raises pitch and formants.

        The HTS voices keep their pitch, slt-hts its rate too. None where its words are not those of `text`. Raises
        `RuntimeError` if the process is at an end.
        """
        diphones = {"stretch": stretch, "mean": MEAN * pitch, "deviation": DEVIATION * pitch}
        hts = {"folder": self._folder.name, "voice": voice, "rate": 1 / stretch}
        speaker = SPEAKERS[voice].format(**diphones, **hts)
        answer = self._answer(voice, SAY.format(speaker=speaker, text=text, file=self._file))
        times = [float(time) / size for time in answer.split()]
        audio, rate = soundfile.read(self._file, dtype="int16")
        spans = list(zip(times[::2], times[1::2], strict=True))
        return timed("en", f"festival-{voice}", text, spans, audio, rate * size)

    def _answer(self, voice: str, command: str) -> str:
        """What a voice's own process says to it. One process for all would load a voice anew at every change."""
        if voice not in self._processes:
            self._processes[voice] = subprocess.Popen(
                ["festival", "--pipe"],  # noqa: S607 - Debian's
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="ascii",
            )
        pipe, answers = self._processes[voice].stdin, self._processes[voice].stdout
        if pipe is None or answers is None:
            raise RuntimeError("festival has no pipe")
        pipe.write(command)
        pipe.flush()
        answer = answers.readline()
        if not answer:
            raise RuntimeError("festival ended; are festival, festvox-kdlpc16k and festvox-us-slt-hts installed?")
        return answer

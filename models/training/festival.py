"""festival as a process of its own: English voices of other makers than flite's, and when every word is said.

It needs Debian's festival, festvox-kdlpc16k and festvox-us-slt-hts. Source of the commands: festival's manual,
"Utterance I/O", "Parameters" and "General intonation" (linear regression).
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import soundfile

from models.training.utterance import Utterance, timed

VOICES: Final = {"ked": ("ked_diphone", 105.0, 15.0), "slt-hts": ("cmu_us_slt_arctic_hts", 165.0, 34.0)}
"""Festival's names for them, and what they speak at by themselves: mean and deviation of the pitch (Hz).

`slt-hts` keeps its own rate and pitch whatever it is told: the HTS engine takes neither from these parameters.
"""

SAY: Final = """(begin
  (voice_{voice})
  (Parameter.set 'Duration_Stretch {stretch:.3f})
  (set! int_lr_params '((target_f0_mean {mean:.1f}) (target_f0_std {deviation:.1f})
                        (model_f0_mean 170) (model_f0_std 34)))
  (set! said (SynthText "{text}"))
  (utt.save.wave said "{file}" 'riff)
  (mapcar (lambda (word) (format t "%f %f " (item.feat word "word_start") (item.feat word "word_end")))
          (utt.relation.items said 'Word))
  (format t "\\n")
  (fflush nil))
"""


class Festival:
    """One process, which speaks a sentence at a time, until `close`."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        self._file = Path(self._folder.name) / "said.wav"
        self._process = subprocess.Popen(
            ["festival", "--pipe"],  # noqa: S607 - Debian's
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="ascii",
        )

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._folder.cleanup()

    def say(self, voice: str, text: str, *, stretch: float = 1, pitch: float = 1, size: float = 1) -> Utterance | None:
        """Speak an English sentence. `stretch` and `pitch` are factors; `size` above 1 raises pitch and formants.

        The first two are without effect on `slt-hts`. None where its words are not those of `text`.
        Raises `RuntimeError` if the process is at an end.
        """
        name, mean, deviation = VOICES[voice]
        manner = {"stretch": stretch, "mean": mean * pitch, "deviation": deviation * pitch}
        command = SAY.format(voice=name, text=text, file=self._file, **manner)
        pipe, answers = self._process.stdin, self._process.stdout
        if pipe is None or answers is None:
            raise RuntimeError("festival has no pipe")
        pipe.write(command)
        pipe.flush()
        answer = answers.readline()
        if not answer:
            raise RuntimeError("festival ended; are festival, festvox-kdlpc16k and festvox-us-slt-hts installed?")
        times = [float(time) / size for time in answer.split()]
        audio, rate = soundfile.read(self._file, dtype="int16")
        return timed(f"festival-{voice}", text, list(zip(times[::2], times[1::2], strict=True)), audio, rate * size)

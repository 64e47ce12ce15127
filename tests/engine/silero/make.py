"""Make `probabilities.npz`, what Silero's own file says of the test clips: `python make.py silero_vad.onnx`.

The file is in the package silero-vad 6.2.3; onnxruntime runs it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile

HERE = Path(__file__).parent
FRAME, CONTEXT = 512, 64


def probabilities(session: onnxruntime.InferenceSession, audio: np.ndarray) -> np.ndarray:
    state, before, found = np.zeros((2, 1, 128), np.float32), np.zeros(CONTEXT, np.float32), []
    for start in range(0, len(audio) - FRAME + 1, FRAME):
        frame = audio[start : start + FRAME]
        heard = np.concatenate([before, frame])[None]
        probability, state = session.run(None, {"input": heard, "state": state, "sr": np.array(16_000)})
        found.append(probability[0, 0])
        before = frame[-CONTEXT:]
    return np.array(found, np.float32)


def main() -> None:
    session = onnxruntime.InferenceSession(sys.argv[1])
    clips = sorted((HERE.parents[1] / "speech").glob("*.flac"))
    found = {clip.stem: probabilities(session, soundfile.read(clip, dtype="float32")[0]) for clip in clips}
    np.savez_compressed(HERE / "probabilities.npz", allow_pickle=False, **found)


if __name__ == "__main__":
    main()

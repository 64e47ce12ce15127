"""What a transcript looks like as a file: JSON, plain text, SubRip, WebVTT, tab-separated values. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from server.exports.cues import build_cues

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.protocol import WireFinal


class Format(NamedTuple):
    """One way to write a transcript: its media type, and what writes it. All are UTF-8."""

    media_type: str
    render: Callable[[Sequence[WireFinal]], str]


def to_json(finals: Sequence[WireFinal]) -> str:
    """Write a JSON list of the finals, each exactly as it was sent."""
    return msgspec.json.encode(finals).decode()


def to_txt(finals: Sequence[WireFinal]) -> str:
    """Write one final a line, without the spaces around it."""
    return "".join(f"{line}\n" for final in finals if (line := _one_line(final.text)))


def to_srt(finals: Sequence[WireFinal]) -> str:
    """Write SubRip subtitles."""
    return "".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_srt_text(cue.lines)}\n\n"
        for number, cue in enumerate(build_cues(finals), 1)
    )


def to_vtt(finals: Sequence[WireFinal]) -> str:
    """Write WebVTT subtitles."""
    return "WEBVTT\n\n" + "".join(
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_vtt_text(cue.lines)}\n\n" for cue in build_cues(finals)
    )


def to_tsv(finals: Sequence[WireFinal]) -> str:
    """Write one final a line, as whisper does: start and end in whole milliseconds, text; headings on top."""
    rows = ["start\tend\ttext\n"]
    end = 0
    for final in finals:
        start = round(final.result[0].start * 1000) if final.result else end
        end = round(final.result[-1].end * 1000) if final.result else end
        rows.append(f"{start}\t{end}\t{_one_line(final.text)}\n")
    return "".join(rows)


FORMATS: Final = {
    "json": Format("application/json", to_json),
    "txt": Format("text/plain", to_txt),
    "srt": Format("application/x-subrip", to_srt),
    "vtt": Format("text/vtt", to_vtt),
    "tsv": Format("text/tab-separated-values", to_tsv),
}
"""The formats by their names, which are the endings of their files too; the first is the default."""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _srt_text(lines: Sequence[str]) -> str:
    # SubRip has no escapes, and readers take any line with this arrow for times.
    return "\n".join(line.replace("-->", "→") for line in lines)


def _vtt_text(lines: Sequence[str]) -> str:
    return "\n".join(line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in lines)


def _clock(milliseconds: int, point: str) -> str:
    seconds, ms = divmod(milliseconds, 1_000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{ms:03}"

"""What does a server take after thousands of streams, or hours of one? `python -m benchmarks.soak --help`.

Very many short streams, four at a time, each checked against its export; then a conversation of hours, sent as fast as
the server takes it. One server for both: what the first part leaves behind would show in the second.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from benchmarks import plots, show
from benchmarks.client import stream
from benchmarks.course import Course
from benchmarks.options import parser, run
from benchmarks.score import score
from benchmarks.speech import conversation, recorded
from benchmarks.subject import SubjectError
from benchmarks.summary import summarise
from tests.processes import Speaker, serving

if TYPE_CHECKING:
    import argparse

    from benchmarks.options import Bench
    from tests.processes import ServerProcess

MODULE: Final = "benchmarks.soak"
TOGETHER: Final = 4
LENGTHS: Final = (0.2, 1.5)
"""Seconds of speech in a short stream."""

SERVE: Final = ("--max-stream-h", "1000", "--keep-exports", "1000", "--queue", "100")
"""Old exports are swept away meanwhile; whoever comes when the host is full waits, instead of being refused."""


class Part:
    """One part of the soak: what it did so far, and what the server took."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.done = 0.0
        self.course = Course(server.resources, lambda: self.done)
        self.failures: list[str] = []
        self.figures: dict[str, Any] = {}

    def outcome(self) -> dict[str, Any]:
        """As plain values."""
        seconds = self.course.points[-1].seconds
        rest = {"seconds": seconds, "failures": self.failures[:100], "resources": self.course.figures()}
        return {**self.figures, **rest}


async def short_streams(part: Part, count: int, minutes: float) -> None:
    """Stream stretches of the clips; what is in the export has to be what was sent and what the client was told.

    No stream is begun later than after so many minutes.
    """
    end = trio.current_time() + 60 * minutes
    chance = random.Random(1)  # noqa: S311 - not for secrets
    pcm = b"".join(clip.pcm for clip in recorded())
    left, words = iter(range(count)), 0
    with show.progress(f"{count} short streams", count) as advance:

        async def one_after_the_other() -> None:
            nonlocal words
            for _ in left:
                if trio.current_time() > end:
                    break
                length = 2 * round(16_000 * chance.uniform(*LENGTHS))
                start = 2 * chance.randrange((len(pcm) - length) // 2)
                speaker = Speaker(pcm[start : start + length], speed=1_000)
                await speaker.speak(part.server.port)
                if (wrong := await _wrong(part.server, speaker)) is not None:
                    part.failures.append(f"{speaker.export_id or 'a handshake'}: {wrong}")
                words += len(speaker.outcome.words)
                part.done += 1
                advance(1)

        async with trio.open_nursery() as nursery:
            for _ in range(TOGETHER):
                nursery.start_soon(one_after_the_other)
    part.figures = {"streams": int(part.done), "asked_for": count, "failed": len(part.failures), "words": words}


async def _wrong(server: ServerProcess, speaker: Speaker) -> str | None:
    outcome = speaker.outcome
    if outcome.code != 1000 or outcome.errors:  # noqa: PLR2004 - a normal close
        return f"closed with {outcome.code}, errors: {outcome.errors}"
    if (await server.get(f"/export/audio/{speaker.export_id}"))[44:] != speaker.pcm:
        return "the audio is not what was sent"
    if await server.finals(speaker.export_id) != outcome.finals:
        return "the words are not what the client was told"
    return None


async def long_stream(part: Part, hours: float, language: str | None) -> None:
    """A conversation as fast as the server takes it."""
    speech = conversation("en", hours * 3600, 0)
    with show.progress(f"one stream of {hours:g} h, unpaced", speech.seconds) as advance:

        def note(more: float) -> None:
            part.done += more / 60
            advance(more)

        url = f"ws://127.0.0.1:{part.server.port}/"
        journal = await stream(url, speech, language=language, paced=False, on_seconds=note)
    summary = summarise([score(journal)])
    part.failures += summary.failures
    (export,) = json.loads(await part.server.get("/exports?limit=1"))["exports"]
    sent = hashlib.sha256(b"".join(speech.frames())).digest()
    stored = hashlib.sha256((await part.server.get(f"/export/audio/{export['id']}"))[44:]).digest()
    told = sum(len(output.words) for output in journal.outputs if output.final)
    part.figures = {
        "hours_of_audio": round(export["duration"] / 3600, 3),
        "audio_in_the_export_is_what_was_sent": sent == stored,
        "words_said": summary.said,
        "words_wrong": summary.wrong,
        "words_missing": summary.missing,
        "most_words_missing_in_a_row": summary.longest_gap,
        "words_invented": summary.invented,
        "words_told": told,
        "words_in_the_export": export["words"],
    }


def measure(asked: Bench, arguments: argparse.Namespace) -> None:
    """Do both parts, save and show. Raises `SubjectError` or `ModelError`."""
    if asked.url is not None:
        raise SubjectError("This looks into the server's process, so it starts one itself: leave out --url.")
    parts: dict[str, Part] = {}

    async def main() -> None:
        with tempfile.TemporaryDirectory(prefix="trioscribe-bench-") as folder:
            options = ["--model", str(asked.model_path), *asked.options(), *SERVE]
            async with serving(Path(folder), *options) as server:
                todo = {
                    "short_streams": partial(short_streams, count=arguments.streams, minutes=arguments.minutes),
                    "long_stream": partial(long_stream, hours=arguments.hours, language=asked.language),
                }
                for name, work in todo.items():
                    part = parts[name] = Part(server)
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(part.course.watch)
                        await work(part)
                        part.course.note()
                        nursery.cancel_scope.cancel()

    trio.run(main)
    figures = {name: part.outcome() for name, part in parts.items()}
    samples = {f"{name}: seconds, mib, threads, files, done": part.course.samples() for name, part in parts.items()}
    path = asked.result("soak", figures, samples).save(asked.folder)
    drawn = {
        "short streams": parts["short_streams"].course.points,
        f"minutes of one stream of {arguments.hours:g} h": parts["long_stream"].course.points,
    }
    plots.resources(path.with_suffix(".png"), f"Soak: {asked.label}", drawn)
    for name, outcome in figures.items():
        rows = [(figure.replace("_", " "), str(value)) for figure, value in outcome.items()]
        show.table(f"Soak: {asked.label}, {name.replace('_', ' ')}", ("", ""), rows)
    print(path)


def main() -> int:
    """Run from the command line."""
    options = parser(MODULE, "Memory, threads and open files through thousands of streams and through a very long one.")
    options.add_argument("--streams", type=int, default=10_000, help="short streams")
    options.add_argument("--minutes", type=float, default=1e9, help="begin no short stream later than that")
    options.add_argument("--hours", type=float, default=3.0, help="length of the long stream, in hours of audio")
    return run(options, measure)


if __name__ == "__main__":
    sys.exit(main())

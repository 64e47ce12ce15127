"""What becomes of a stream beside a flood of garbage on both ports? `python -m benchmarks.fuzz --help`.

Random and half-sensible bytes are thrown at a server, some connections with a reset for a goodbye, while one client
after the other streams a clip at the speed of speech. None of these may notice: audio in the export is compared bit by
bit, words with those that the same clip brings without a flood.
"""

from __future__ import annotations

import random
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from benchmarks import plots, show
from benchmarks.course import Course
from benchmarks.options import parser, run
from benchmarks.subject import SubjectError
from benchmarks.summary import spread
from engine.text import normalise
from tests.hostile import hostile, throw
from tests.processes import Speaker, serving
from tests.speech import clips, errors

if TYPE_CHECKING:
    import argparse

    from benchmarks.options import Bench
    from tests.processes import ServerProcess

MODULE: Final = "benchmarks.fuzz"
TOGETHER: Final = 16
"""Hostile connections at a time."""

RESETS: Final = 0.2
"""Share of the connections that end with a reset."""

SETTLING_SECONDS: Final = 20.0
"""After the flood: handshakes that nobody goes on with take `handshake_s`, unanswered goodbyes 5 s more."""

SERVE: Final = ("--log-level", "critical", "--resume-s", "1")

CLIP: Final = "en-letter"


class Witness:
    """Clients that stream a clip at the speed of speech, one after the other, and what they find."""

    def __init__(self, server: ServerProcess) -> None:
        (self._clip,) = (clip for clip in clips() if clip.name == CLIP)
        self._server = server
        self.truth: list[str] = []
        self.failures: list[str] = []
        self.delays: list[float] = []
        self.words = self.wrong = 0

    async def learn(self) -> None:
        """Stream the clip without a flood: what is heard in it is what is to be heard later."""
        self.truth = await self._stream()
        self.failures.clear()
        self.delays.clear()

    async def testify(self, ended: trio.Event) -> None:
        """Stream the clip until the flood has ended, the last time to its end."""
        while not ended.is_set():
            try:
                heard = await self._stream()
            except OSError as error:
                self.failures.append(f"an export could not be had: {error}")
                continue
            self.words += len(heard)
            self.wrong += errors(heard, self.truth)

    async def _stream(self) -> list[str]:
        speaker = Speaker(self._clip.pcm, language=self._clip.language)
        begin = trio.current_time()
        await speaker.speak(self._server.port)
        self.delays.append(trio.current_time() - begin - len(self._clip.pcm) / 32_000)
        if speaker.outcome.code != 1000 or speaker.outcome.errors:  # noqa: PLR2004 - a normal close
            self.failures.append(f"closed with {speaker.outcome.code}, errors: {speaker.outcome.errors}")
        elif (await self._server.get(f"/export/audio/{speaker.export_id}"))[44:] != self._clip.pcm:
            self.failures.append(f"the audio of {speaker.export_id} is not what was sent")
        elif await self._server.finals(speaker.export_id) != speaker.outcome.finals:
            self.failures.append(f"the words of {speaker.export_id} are not what the client was told")
        return [normalise(word["word"]) for word in speaker.outcome.words]


async def flood(server: ServerProcess, inputs: int, seed: int, minutes: float) -> tuple[dict[str, Any], Course]:
    """Throw so many inputs, none later than after so many minutes; return what was seen."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    witness, left, thrown, ended = Witness(server), iter(range(inputs)), 0, trio.Event()
    await witness.learn()
    end = trio.current_time() + 60 * minutes

    with show.progress(f"{inputs} hostile inputs", inputs) as advance:

        async def keep_throwing() -> None:
            nonlocal thrown
            for _ in left:
                if trio.current_time() > end:
                    break
                port = chance.choice([server.port, server.rest_port])
                await throw(port, hostile(chance), reset=chance.random() < RESETS)
                thrown += 1
                advance(1)

        course = Course(server.resources, lambda: thrown)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(course.watch)
            async with trio.open_nursery() as both:
                both.start_soon(witness.testify, ended)
                async with trio.open_nursery() as throwing:
                    for _ in range(TOGETHER):
                        throwing.start_soon(keep_throwing)
                seconds = course.points[-1].seconds
                ended.set()
            await trio.sleep(SETTLING_SECONDS)
            course.note()
            nursery.cancel_scope.cancel()
    first, last = course.points[0], course.points[-1]
    return {
        "inputs": thrown,
        "asked_for": inputs,
        "seed": seed,
        "seconds": seconds,
        "server_alive": server.process.returncode is None,
        "witness_streams": len(witness.delays),
        "witness_failures": witness.failures,
        "witness_words": witness.words,
        "witness_words_not_as_without_the_flood": witness.wrong,
        "witness_end_after_its_last_sample_s": asdict(delays) if (delays := spread(witness.delays)) else None,
        "before_and_after": {name: [getattr(first, name), getattr(last, name)] for name in ("mib", "threads", "files")},
        "resources": course.figures(),
        "metrics": await refusals_and_faults(server),
    }, course


async def refusals_and_faults(server: ServerProcess) -> dict[str, float]:
    """What the server itself counted."""
    lines = (await server.get("/metrics")).decode().splitlines()
    told = (line.rpartition(" ") for line in lines if line.startswith(("trioscribe_refused_", "trioscribe_faults_")))
    return {name: float(value) for name, _, value in told if "_created" not in name}


def measure(asked: Bench, arguments: argparse.Namespace) -> None:
    """Throw, save and show. Raises `SubjectError` or `ModelError`."""
    if asked.url is not None:
        raise SubjectError("This looks into the server's process, so it starts one itself: leave out --url.")

    async def main() -> tuple[dict[str, Any], Course]:
        with tempfile.TemporaryDirectory(prefix="trioscribe-bench-") as folder:
            options = ["--model", str(asked.model_path), *asked.options(), *SERVE]
            async with serving(Path(folder), *options) as server:
                return await flood(server, arguments.inputs, arguments.seed, arguments.minutes)

    figures, course = trio.run(main)
    samples = {"seconds_mib_threads_files_inputs": course.samples()}
    path = asked.result("fuzz", figures, samples).save(asked.folder)
    plots.resources(path.with_suffix(".png"), f"A flood of garbage: {asked.label}", {"inputs": course.points})
    show.table(
        f"Fuzz: {asked.label}", ("", ""), [(name.replace("_", " "), str(value)) for name, value in figures.items()]
    )
    print(path)


def main() -> int:
    """Run from the command line."""
    options = parser(MODULE, "Random and half-sensible bytes on both ports, beside a stream that must not notice.")
    options.add_argument("--inputs", type=int, default=100_000, help="hostile connections, in all")
    options.add_argument("--minutes", type=float, default=1e9, help="throw nothing later than that")
    options.add_argument("--seed", type=int, default=1, help="of the random numbers")
    return run(options, measure)


if __name__ == "__main__":
    sys.exit(main())

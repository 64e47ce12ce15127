"""A server is killed at any moment, and started again: nothing that it was told, and had told, is lost."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from engine.errors import ModelError
from engine.policy import Policy
from engine.scripted import ScriptedRecognizer
from engine.text import normalise
from server.exports.store import Store
from server.protocol import WireFinal, WireWord
from server.streams.dialects import Native
from server.streams.recovery import recover
from server.streams.services import Services
from server.streams.session import Session
from tests.processes import ServerProcess, Speaker, serving
from tests.speech import clips, errors
from tests.virtual_session import EXPORT_ID, LIMITS, WORDS, Loudness, Talker, VirtualPool, spoken

if TYPE_CHECKING:
    from pathlib import Path

    from engine.recognizer import Recognizer
    from engine.types import Hypothesis, Window

CLIPS = {clip.name: clip for clip in clips()}
SECOND = 32_000
ON_THE_WAY = SECOND // 2
"""What may have been sent and not have arrived: frames in sockets and in the library, at two frames each."""


async def streams_until_killed(server: ServerProcess, speakers: list[Speaker], seconds: float) -> None:
    async with trio.open_nursery() as nursery:
        for speaker in speakers:
            nursery.start_soon(speaker.speak, server.port)
        await trio.sleep(seconds)
        server.process.kill()


async def check_recovered(server: ServerProcess, speaker: Speaker, words: list[str]) -> int:
    """Everything is there. Returns how many words of those spoken are wrong."""
    export = await server.settled(speaker.export_id, "recovered", "complete")
    finals = await server.finals(speaker.export_id)
    told = speaker.outcome.finals
    assert finals[: len(told)] == told  # every word that was acknowledged, in its place
    wav = await server.get(f"/export/audio/{speaker.export_id}")
    audio = wav[44:]
    assert speaker.pcm.startswith(audio)
    if speaker.speed <= 2:  # faster, and the sockets between are full
        assert len(audio) >= speaker.sent - SECOND - ON_THE_WAY * 2
    assert export["samples"] == len(audio) // 2
    assert export["finals"] == len(finals)
    said = [word for final in finals for word in final["result"]]
    assert export["words"] == len(said)
    now = 0.0
    for word in said:
        assert now <= word["start"] <= word["end"] <= len(audio) / SECOND
        now = word["end"]
    return errors([normalise(word["word"]) for word in said], words)


def spoken_by(name: str, until: float) -> list[str]:
    return [normalise(word) for word, _, end in CLIPS[name].words if end <= until]


@pytest.mark.parametrize("seed", range(4))
async def test_what_was_heard_before_a_kill_is_all_there_after_the_next_start(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    names = chance.sample(["en-letter", "en-library", "de-fenster", "de-regen", "en-pauses"], 2)
    speakers = [Speaker(CLIPS[name].pcm, speed=2, language=CLIPS[name].language) for name in names]
    async with serving(tmp_path) as server:
        await streams_until_killed(server, speakers, chance.uniform(0.5, 4.5))
    async with serving(tmp_path) as server:
        for name, speaker in zip(names, speakers, strict=True):
            await server.settled(speaker.export_id, "recovered", "complete")
            length = (await server.export(speaker.export_id))["duration"]
            wrong = await check_recovered(server, speaker, spoken_by(name, length))
            # The audio ends in the middle of a word, and around the seam with the last final one may be misheard.
            assert wrong <= 3, (name, length)


async def test_a_recovery_that_is_killed_itself_goes_on_at_the_next_start(tmp_path: Path) -> None:
    chance = random.Random(7)
    speaker = Speaker(CLIPS["en-library"].pcm * 3, speed=100)
    async with serving(tmp_path) as server:
        await streams_until_killed(server, [speaker], 4.0)
    kept: list[dict[str, object]] = speaker.outcome.finals
    for _ in range(3):
        async with serving(tmp_path) as server:
            await trio.sleep(chance.uniform(0.0, 0.5))
            server.process.kill()
            await server.process.wait()
        lines = (tmp_path / "exports" / speaker.export_id / "finals.jsonl").read_bytes().splitlines()
        assert len(lines) >= len(kept)  # it never goes back
    async with serving(tmp_path) as server:
        await check_recovered(server, speaker, [])
        assert {path.name for path in (tmp_path / "exports" / speaker.export_id).iterdir()} == {
            "meta.json",
            "audio.wav",
            "finals.jsonl",
        }


async def test_a_shutdown_leaves_a_recovery_for_the_next_start(tmp_path: Path) -> None:
    speaker = Speaker(CLIPS["en-library"].pcm, speed=100)
    async with serving(tmp_path) as server:
        await streams_until_killed(server, [speaker], 1.0)
    for _ in range(6):  # more often than recoveries that kill the process are tried
        async with serving(tmp_path) as server:
            server.process.terminate()
            assert await server.process.wait() == 0
    async with serving(tmp_path) as server:
        await check_recovered(server, speaker, [])


class Failing:
    def recognize(self, window: Window, *, threads: int, should_abort: Any) -> Hypothesis:
        del window, threads, should_abort
        raise ModelError("the model has failed")

    def close(self) -> None:
        pass


async def restarted(root: Path, recognizer: Recognizer) -> Services:
    store = Store(root)
    await store.prepare()
    return Services(
        store=store,
        pool=VirtualPool(recognizer, seconds=0.0),
        detector=Loudness,
        policy=Policy(language="en"),
        languages=frozenset({"en"}),
        model="scripted",
        limits=LIMITS,
    )


async def test_what_no_inference_heard_is_heard_at_the_next_start_whose_inferences_do(tmp_path: Path) -> None:
    pcm, script = spoken(WORDS)
    talker = Talker((0.0, pcm), (0.0, "eof"))
    services = await restarted(tmp_path, Failing())
    await Session(talker, EXPORT_ID, services, Native, trio.Event()).run()
    assert (talker.got[-1][1], talker.words) == (EXPORT_ID, [])
    for recognizer, state, words in (
        (Failing(), "interrupted", []),
        (ScriptedRecognizer(script), "recovered", WORDS),
    ):
        services = await restarted(tmp_path, recognizer)
        assert (await services.store.find(EXPORT_ID)).state == "interrupted"
        await recover(services)
        assert (await services.store.find(EXPORT_ID)).state == state
        assert [word.word for final in await services.store.finals(EXPORT_ID) for word in final.result] == words


async def test_an_export_keeps_its_language_if_nothing_more_is_heard(tmp_path: Path) -> None:
    services = await restarted(tmp_path, ScriptedRecognizer([]))
    said = WireFinal((WireWord(0.9, 0.5, 0.1, "Hallo"),), " Hallo")
    recorder = await services.store.record(EXPORT_ID, sample_rate=16_000, model="tiny")
    await recorder.final(said)
    await recorder.audio(bytes(4 * SECOND))
    before = await recorder.complete(language="de", state="interrupted")
    services = await restarted(tmp_path, ScriptedRecognizer([]))
    services = replace(services, policy=Policy(language="auto"))
    await recover(services)
    assert await services.store.find(EXPORT_ID) == msgspec.structs.replace(before, state="recovered")


async def test_a_recovery_keeps_to_what_the_client_had_set(tmp_path: Path) -> None:
    clip = CLIPS["de-regen"]
    speaker = Speaker(clip.pcm, speed=2, language=clip.language)
    async with serving(tmp_path) as server:
        await streams_until_killed(server, [speaker], 1.0)
    async with serving(tmp_path, "--language", "en") as server:
        assert (await server.settled(speaker.export_id, "recovered"))["language"] == "de"

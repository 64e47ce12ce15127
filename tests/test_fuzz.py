"""Whatever comes in, in whatever order: the answer is clear, the stream ends in order, and nobody else notices."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from server.errors import ProtocolError
from server.protocol import Eof, decode
from server.transport.wire import DisconnectedError
from tests.hostile import hostile, throw
from tests.roaming import LIMITS, Room
from tests.speech import clips
from tests.virtual_session import EXPORT_ID, WORDS, Talker, spoken

if TYPE_CHECKING:
    from tests.conftest import Client

CLIPS = {clip.name: clip for clip in clips()}
SPEECH, SCRIPT = spoken(WORDS)
Line = list[tuple[float, bytes | str | int]]

control = st.sampled_from(
    [
        "eof",
        '{"eof": 1}',
        '{"reset": 1}',
        '{"config": {"sample_rate": 16000}}',
        '{"config": 3}',
        "{",
        "hello",
        "",
        '{"a": 1}',
    ]
)
frames = st.one_of(st.binary(max_size=300), control, st.text(max_size=50), st.integers(0, 8))
"""A number stands for a stretch of speech, which would be too long to print."""

lines = st.lists(st.tuples(st.floats(0, 8), frames), max_size=15)
ends = st.sampled_from(["eof", "close", "break", "vanish", "idle"])


def understood(text: str) -> bool:
    """Whether a text frame is a command; one that is not must be refused with a code and a sentence."""
    try:
        decode(text)
    except ProtocolError as error:
        return not (error.code and str(error))
    return True


@given(st.text())
def test_every_text_is_a_command_or_refused_with_a_sentence(text: str) -> None:
    assert understood(text) == (text.strip().casefold() == "eof")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
keys_of_commands = {"eof", "reset", "flush", "config", "Authorization"}
keys = st.sampled_from(["eof", "reset", "flush", "config", "Authorization", "sample_rate", "language", "prompt", "x"])


@given(st.dictionaries(keys, json_values | st.dictionaries(keys, json_values, max_size=4), max_size=4))
def test_every_json_object_is_a_command_or_refused_with_a_sentence(fields: dict[str, Any]) -> None:
    assert not understood(json.dumps(fields)) or keys_of_commands & set(fields)


class Erratic(Talker):
    """Says anything at any time, and leaves in any way."""

    def __init__(self, line: Line, end: str) -> None:
        now = 0.0
        timed: list[tuple[float, bytes | str]] = []
        for pause, frame in line:
            now += pause
            timed.append((now, SPEECH[frame * 9_000 :][:9_001] if isinstance(frame, int) else frame))
        super().__init__(*timed)
        self.taken: list[bytes | str] = []
        self._end = end

    async def receive(self) -> bytes | str:
        if not self._frames:
            await trio.lowlevel.checkpoint()
            if self._end in {"close", "break"}:
                raise DisconnectedError(clean=self._end == "close")
            if self._end == "eof":
                self._end = "close"
                return "eof"
        message = await super().receive()
        self.taken.append(message)
        return message

    async def ping(self) -> None:
        if self._end == "vanish":
            await trio.sleep_forever()
        await super().ping()

    @property
    def audio(self) -> bytes:
        """What it had sent before it first said that it was done."""
        audio = b""
        for frame in self.taken:
            if isinstance(frame, bytes):
                audio += frame
            else:
                try:
                    if isinstance(decode(frame), Eof):
                        break
                except ProtocolError:
                    continue
        return audio


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(lines, ends), min_size=1, max_size=3))
@example([([(0.0, 0), (0.0, 0), (0.0, 0)], "break"), ([], "eof")])  # the end of the audio makes the last final
def test_a_session_survives_any_clients_and_keeps_all_audio(
    visits: list[tuple[Line, str]],
) -> None:
    """One client after the other, each of which takes up the stream of the one before, if it can be taken up."""

    async def main() -> None:
        clients = [Erratic(*visits[0])]
        room = Room(clients[0], SCRIPT)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(room.run)
            for line, end in visits[1:]:
                await trio.sleep(sum(pause for pause, _ in visits[len(clients) - 1][0]) + LIMITS.resume / 2)
                if not room.session.resumable:
                    break
                clients.append(Erratic(line, end))
                nursery.start_soon(room.session.resume, clients[-1], 0)
        taken = Erratic([], "close")
        taken.taken = [frame for client in clients for frame in client.taken]
        assert room.recorder.pcm == taken.audio
        said = [text for client in clients for _, text in client.got]
        asked_for = taken.audio or EXPORT_ID in said
        assert room.recorder.state in ({"complete"} if asked_for else {"complete", "none"})
        assert all(text == EXPORT_ID or isinstance(json.loads(text), dict) for text in said)
        shown = [json.loads(text)["text"] for _, text in clients[-1].got if '"text"' in text]
        if EXPORT_ID in said:  # whoever was there at the end, and had come back for all finals, has all of them
            assert room.recorder.finals == shown

    with_clock = MockClock(autojump_threshold=0)
    trio.run(main, clock=with_clock)


async def test_a_stream_beside_a_flood_of_garbage_loses_nothing(client: Client) -> None:
    chance = random.Random(5)
    clip = CLIPS["en-letter"]
    async with trio.open_nursery() as nursery:
        outcomes = []

        async def canary() -> None:
            outcomes.append(
                await client.talk(*(clip.pcm[i : i + 3_200] for i in range(0, len(clip.pcm), 3_200)), "eof")
            )

        nursery.start_soon(canary)
        for _ in range(300):
            port = chance.choice([client.app.port, client.app.rest_port])
            await throw(port, hostile(chance))
    assert outcomes[0].code == 1000
    assert (await client.get(f"/export/audio/{outcomes[0].export_id}"))[44:] == clip.pcm
    assert (await client.request("/health"))[0] == 200
    await client.all_streams_ended()

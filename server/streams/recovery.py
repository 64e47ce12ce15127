"""Finishes the streams that a crash or a shutdown interrupted: transcribes what was heard after their last final.

The audio goes through the same `engine.stream.Stream` as it would have live, from a soft place behind the last final
on, decoded in the background: on one core, and only while no live stream wants the recognizer. What becomes final is
on the disk at once, so a recovery that is interrupted itself goes on where it was at the next start.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from engine import types
from engine.audio import PcmDecoder
from engine.endpointing import Endpointer
from engine.errors import EngineError
from engine.stream import Stream
from engine.types import BYTES_PER_SAMPLE, FRAME, SAMPLE_RATE
from engine.windowing import NEAR
from engine.word_times import in_order
from server.errors import StoreError
from server.exports.wav import HEADER_BYTES
from server.protocol import wire_final
from server.streams.services import chosen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from server.exports.export import EndState, Export
    from server.exports.recorder import Recorder
    from server.protocol import StreamConfig, WireFinal
    from server.streams.services import Services

SLICES_PER_SECOND: Final = 10
"""Speech detection runs on the event loop: 100 ms of audio at a time hold up live streams by half a millisecond."""

_logger = logging.getLogger(__name__)


async def recover(services: Services) -> None:
    """Complete all exports that were left unfinished, one after the other. What fails is logged and left for later."""
    try:
        interrupted = await services.store.unfinished()
    except StoreError as error:
        _logger.warning("The exports could not be searched for unfinished ones: %s", error)
        return
    for export_id in interrupted:
        try:
            async with services.store.reopen(export_id) as (export, config, recorder):
                await _Recovery(services, export, config, recorder).run()
        except (StoreError, OSError) as error:
            _logger.warning("Export %s could not be completed: %s", export_id, error)
        except Exception:
            _logger.exception("Export %s could not be completed; this is a mistake in the server.", export_id)


class _Recovery:
    """One export being completed."""

    def __init__(self, services: Services, export: Export, config: StreamConfig, recorder: Recorder) -> None:
        self._services = services
        self._export = export
        self._recorder = recorder
        if config.language not in {None, "auto", *services.languages}:  # it is another model than the stream had
            config = msgspec.structs.replace(config, language=None)
        self._stream = Stream(chosen(services.policy, config), services.detector(), rate=export.sample_rate)
        self._origin = 0
        self._said = 0

    async def run(self) -> None:
        path = self._services.store.audio_path(self._export.id)
        finals = await self._services.store.finals(self._export.id)
        self._said = round(_end(finals) * SAMPLE_RATE)
        self._origin = await trio.to_thread.run_sync(_soft_place, path, self._said, self._export.sample_rate)
        begin = self._origin * self._export.sample_rate // SAMPLE_RATE
        step = self._export.sample_rate // SLICES_PER_SECOND
        for position in range(begin, self._export.samples, self._export.sample_rate):
            second = await trio.to_thread.run_sync(_read, path, position, self._export.sample_rate)
            for start in range(0, len(second), step * BYTES_PER_SAMPLE):
                await self._feed(second[start : start + step * BYTES_PER_SAMPLE])
        self._stream.finish()
        while not self._stream.done:
            await self._decode()
        await self._publish()
        state: EndState = "interrupted" if self._stream.incomplete else "recovered"
        language = self._stream.language or self._export.language
        export = await self._recorder.complete(language=language, state=state)
        _logger.info("Export %s is %s: %.1f s, %d finals.", export.id, state, export.duration, export.finals)

    async def _feed(self, pcm: bytes) -> None:
        while self._stream.room < len(pcm) or (self._stream.urgent and self._stream.due):
            await self._decode()
        self._stream.feed(pcm)
        await trio.lowlevel.checkpoint()

    async def _decode(self) -> None:
        window = self._stream.next_window()
        if window is None:  # cannot happen: a stream that is full or not done has something to decode
            raise StoreError("its audio leads to nothing that could be decoded")
        try:
            hypothesis, _ = await self._services.pool.recognize_in_background(window)
        except EngineError:
            _logger.exception("export %s: an inference failed; the recovery goes on", self._export.id)
            self._stream.fail()
        else:
            self._stream.accept(hypothesis)
        await self._publish()

    async def _publish(self) -> None:
        for event in self._stream.take_events():
            if isinstance(event, types.Final):
                words = [
                    replace(word, start=word.start + self._origin, end=word.end + self._origin) for word in event.words
                ]
                final = types.Final(in_order(words, self._said), event.language)
                self._said = final.words[-1].end
                await self._recorder.final(wire_final(final))


def _end(finals: Sequence[WireFinal]) -> float:
    return max((final.result[-1].end for final in finals if final.result), default=0.0)


def _soft_place(path: Path, end: int, rate: int) -> int:
    """Find where the audio after the finals, which end at `end`, begins: the softest place around there, 0 for 0.

    Both are samples of the stream at `SAMPLE_RATE`. The place is looked for as the engine does it between two windows.
    """
    if not end:
        return 0
    begin = max(0, end - 2 * NEAR)
    decoder = PcmDecoder(rate)
    around = decoder.decode(_read(path, begin * rate // SAMPLE_RATE, 4 * NEAR * rate // SAMPLE_RATE))
    endpointer = Endpointer(SAMPLE_RATE)
    for start in range(0, len(around) - FRAME + 1, FRAME):
        endpointer.feed(around[start : start + FRAME], speech=True)
    return begin + endpointer.quietest(end - NEAR - begin, end + NEAR // 4 - begin, otherwise=end - begin)


def _read(path: Path, sample: int, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(HEADER_BYTES + sample * BYTES_PER_SAMPLE)
        return file.read(count * BYTES_PER_SAMPLE)

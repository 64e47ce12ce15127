"""A stream together with its recording and its client: whatever is heard and said is on the disk before it is sent."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Literal

import trio

from engine import types
from engine.errors import AbortedError, EngineError
from engine.stream import Stream
from server.errors import ProtocolError, StoreError
from server.monitoring.latency import LatencyMeter
from server.protocol import StreamConfig, WireFinal, wire_final
from server.streams.services import chosen

if TYPE_CHECKING:
    from engine.policy import Policy
    from server.exports.export import EndState
    from server.exports.recorder import Recorder
    from server.streams.dialects import Dialect
    from server.streams.services import Services

SLICES_PER_SECOND: Final = 10
"""Audio is fed in slices of 100 ms, so that speech detection in a long message does not hold up other streams."""

LAST_STORE_SECONDS: Final = 5.0
"""How long a stream that is given up may take to bring its export into order."""

GIVEN_UP: Final = "What was just said could not be transcribed, or not in full: the inference failed again and again."

_logger = logging.getLogger(__name__)


def _config(policy: Policy, rate: int) -> StreamConfig:
    return StreamConfig(rate, policy.language, policy.task, policy.prompt, "eager" if policy.eager else "stable")


class LiveStream:
    """The shell around an `engine.stream.Stream`, which begins with the first audio, as does the export."""

    def __init__(self, export_id: str, services: Services, dialect: Dialect, owner: str | None = None) -> None:
        self.export_id = export_id
        self.ended = False
        self.stored = False
        self.hearing = False
        self.bytes = 0
        self._services = services
        self._dialect = dialect
        self._owner = owner
        self._rate = dialect.rate
        self._policy = services.policy
        self._stream: Stream | None = None
        self._recorder: Recorder | None = None
        self._storage_failed = False
        self._latency = LatencyMeter()
        self._unrecorded: list[WireFinal] = []
        self._changed = trio.Event()
        self._publishing = trio.Lock()
        self._queued_for_partial = False
        self._waiting = trio.CancelScope()

    @property
    def done(self) -> bool:
        """Whether all that was heard has become finals, after `finish`."""
        return self.ended if self._stream is None else self._stream.done

    @property
    def export(self) -> Literal["none", "interrupted", "stored"]:
        """What has become of the export; there is none if nothing was heard, and none was asked for."""
        if self.stored:
            return "stored"
        return "none" if self._stream is None else "interrupted"

    @property
    def failed(self) -> bool:
        """Whether the stream is to be ended because it cannot be stored."""
        return self._storage_failed and self._services.limits.record_or_end

    @property
    def seconds(self) -> float:
        """Length of the audio that has come in."""
        return self.bytes / (types.BYTES_PER_SAMPLE * self._rate)

    def configure(self, config: StreamConfig) -> None:
        """Settings of this stream. Raises `ProtocolError` once it has begun, or for a language not in the model."""
        if self._stream is not None:
            raise ProtocolError("too_late", "A stream is configured before its first audio; this one has begun.")
        if config.language not in {None, "auto", *self._services.languages}:
            known = ", ".join(sorted(self._services.languages))
            raise ProtocolError(
                "bad_config", f'The model does not know "language": "{config.language}". It knows: {known}.'
            )
        self._rate = config.sample_rate or self._rate
        self._policy = chosen(self._policy, config)

    async def begin(self) -> Stream:
        """Begin the export, if that has not been done: there is audio, or a client that counts on one without."""
        if self._stream is None:
            try:
                self._recorder = await self._services.store.record(
                    self.export_id,
                    sample_rate=self._rate,
                    model=self._services.model,
                    owner=self._owner,
                    config=_config(self._policy, self._rate),
                )
            except StoreError as error:
                self._storage_is_failing(error)
            self._stream = Stream(self._policy, self._services.detector(), rate=self._rate)
            self._notify()
        return self._stream

    async def hear(self, pcm: bytes) -> None:
        """Take in audio, however much; waits while the buffer is full."""
        self.hearing = True
        self.bytes += len(pcm)
        stream = await self.begin()
        await self._record(pcm)
        size = types.BYTES_PER_SAMPLE * max(1, self._rate // SLICES_PER_SECOND)
        for begin in range(0, len(pcm), size):
            piece = pcm[begin : begin + size]
            while stream.room < len(piece):
                await self._changed.wait()
            stream.feed(piece)
            self._latency.heard(stream.received, trio.current_time())
            self._services.tally.audio += len(piece) / types.BYTES_PER_SAMPLE / self._rate
            if stream.has_events or stream.urgent or self._due(stream):
                await self._publish(stream)
        self.hearing = False

    async def catch_up(self, have: int) -> None:
        """Tell a client that is back, and has the first `have` finals, what it missed."""
        async with self._publishing:
            finals: list[WireFinal] = []
            if self._recorder is not None:
                try:
                    finals = await self._services.store.finals(self.export_id)
                except StoreError as error:
                    self._storage_is_failing(error)
            self._dialect.resumed(self.export_id, self.bytes, [*finals, *self._unrecorded][have:])

    async def pause(self) -> None:
        """Nothing more is to be expected for now: what has been said becomes final, and all is on the disk."""
        if self._stream is None:
            self._dialect.settled()
        elif not self.ended:
            self._stream.flush()
            await self._publish(self._stream)
            await self.store_audio()

    async def store_audio(self) -> None:
        """For a while no audio may come: have on the disk what there is."""
        if self._recorder is not None and not self._storage_failed and not self.ended:
            try:
                await self._recorder.flush()
            except StoreError as error:
                self._storage_is_failing(error)

    async def finish(self) -> None:
        """No more audio will come."""
        if not self.ended:
            self.ended = True
            if self._stream is None:
                self._notify()
            else:
                self._stream.finish()
                await self._publish(self._stream)

    async def infer(self) -> None:
        """Decode window after window until the stream is done, and all that was said has been handed out."""
        while not self.done:
            stream = self._stream
            if stream is None or not self._due(stream):
                await self._changed.wait()
                continue
            given_up = False
            with trio.CancelScope() as self._waiting:
                given_up = await self._decode(stream)
            await self._publish(stream)
            if given_up:  # behind the final of what is known: what is final behind this was said later
                self._dialect.complain("inference", GIVEN_UP)
        if self._stream is not None:
            # Or wait for who is at it: the end of the audio may have made the last final.
            await self._publish(self._stream)

    async def store(self) -> bool:
        """Make the export durable. Returns whether it is; if not, the client has been told why."""
        if self._recorder is not None and self._stream is not None:
            try:
                # What was given up at the end can be heard again: like what a crash leaves, at the next start.
                state: EndState = "interrupted" if self._stream.incomplete else "complete"
                with trio.CancelScope(shield=True):
                    await self._recorder.complete(language=self._stream.language, state=state)
                self.stored = True
            except StoreError as error:
                self._storage_is_failing(error)
        return self.stored

    async def abandon(self) -> None:
        """The stream is given up in the middle: leave what there is in order, in the state "interrupted"."""
        if self._recorder is not None and not self.stored:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_STORE_SECONDS):
                try:
                    language = None if self._stream is None else self._stream.language
                    await self._recorder.complete(language=language, state="interrupted")
                except StoreError as error:
                    _logger.warning("stream %s: %s", self.export_id, error)
                finally:
                    self._recorder.close()

    def _due(self, stream: Stream) -> bool:
        stream.stretch(self._services.pool.load.stretch(trio.current_time()))
        return stream.due

    async def _decode(self, stream: Stream) -> bool:
        """Decode the newest window, if there is one. Returns whether speech was given up."""
        self._queued_for_partial = not stream.urgent
        async with self._services.pool.slot(final=stream.urgent) as slot:
            self._queued_for_partial = False
            window = stream.next_window()
            if window is None:
                return False
            begun = trio.current_time()
            try:
                hypothesis = await slot.recognize(window)
            except EngineError as error:
                given_up = stream.fail()
                if not isinstance(error, AbortedError):
                    self._services.tally.fault("inference")
                    _logger.exception("stream %s: an inference failed; the stream goes on", self.export_id)
                return given_up
            except BaseException:
                stream.fail()
                raise
            else:
                stream.accept(hypothesis)
                self._services.tally.inference.observe(trio.current_time() - begun)
                return False

    async def _publish(self, stream: Stream) -> None:
        """Let the other tasks know what has changed; hand out what there is to say, to the disk and then the client."""
        self._notify()
        if stream.superseded or (stream.urgent and self._queued_for_partial):
            self._waiting.cancel()  # to come again at once, with a longer window and as one that a final waits for
        async with self._publishing:
            for event in stream.take_events():
                if isinstance(event, types.Final):
                    await self._record(wire_final(event))
                self._dialect.say(event)
                self._count(event)
            if not stream.urgent:
                self._dialect.settled()

    def _count(self, event: types.Event) -> None:
        now, tally = trio.current_time(), self._services.tally
        if isinstance(event, types.Partial):
            tally.partials += 1
            self._latency.partial(event.text, now)
        else:
            tally.words += len(event.words)
            taken = self._latency.final(event, now)
            tally.final.observe(taken.final)
            for seconds in taken.words:
                tally.stable_word.observe(seconds)

    async def _record(self, heard: bytes | WireFinal) -> None:
        if self._recorder is None or self._storage_failed:
            if not isinstance(heard, bytes):
                self._unrecorded.append(heard)
            return
        try:
            if isinstance(heard, bytes):
                await self._recorder.audio(heard)
            else:
                await self._recorder.final(heard)
        except StoreError as error:
            self._storage_is_failing(error)
            await self._record(heard)

    def _storage_is_failing(self, error: StoreError) -> None:
        _logger.error("stream %s: %s", self.export_id, error)
        if not self._storage_failed:
            self._services.tally.fault("storage")
            self._dialect.complain("storage", f"This stream cannot be stored: {error}")
        self._storage_failed = True

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

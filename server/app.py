"""The composition root: puts the rooms together, serves, and at the end drains and closes them in order."""

from __future__ import annotations

import logging
import signal
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from engine.policy import Policy
from engine.types import SAMPLE_RATE
from engine.vad import SileroDetector
from engine.whisper import Decoding, WhisperRecognizer, languages, logging_to
from models.library import DEMONSTRATION, find
from server import logs
from server.dialects import DIALECTS
from server.door import turn_away
from server.errors import RefusedError
from server.exports.store import Store
from server.host import usable_cores
from server.lag import watch_lag
from server.live import Services
from server.metrics import Snapshot
from server.pool import InferencePool
from server.rest.figures import add_metrics
from server.rest.routes import Readiness, create_app
from server.rest.serving import open_rest_socket, serve_rest
from server.security import secure
from server.session import Session
from server.transport import Request, open_listeners, serve_websockets
from server.wire import DisconnectedError

if TYPE_CHECKING:
    from models.library import Model
    from server.security import Security
    from server.settings.table import Settings
    from server.wire import Wire

REST_GRACE_SECONDS: Final = 6.0
"""A second more than REST takes on its own to let running downloads end."""

_logger = logging.getLogger(__name__)
_native_logger = logging.getLogger("whisper.cpp")


class App:
    """A server that has been put together and listens; `run` serves until `drain` is called."""

    def __init__(  # noqa: PLR0913  the composition root calls it once, by name
        self,
        *,
        settings: Settings,
        model: Model,
        services: Services,
        security: Security,
        listeners: list[trio.SocketListener],
        rest_port: int,
    ) -> None:
        self.port: int = listeners[0].socket.getsockname()[1]
        self.rest_port = rest_port
        self._settings = settings
        self._model = model
        self._services = services
        self._door = security.door
        self._certificate = security.certificate
        self._listeners = listeners
        self._draining = trio.Event()
        self._idle = trio.Event()
        self._streams = 0

    def drain(self) -> None:
        """Begin to shut down: take no new streams, finish and store those that are open."""
        self._draining.set()
        if not self._streams:
            self._idle.set()

    def readiness(self) -> Readiness:
        """Whether a new stream would be taken."""
        ready = not self._draining.is_set()
        slots = self._services.pool.statistics().slots
        return Readiness(ready, "ready" if ready else "shutting down", self._streams, slots, self._model.name)

    def snapshot(self) -> Snapshot:
        """The figures for `/metrics`."""
        services = self._services
        return Snapshot(self.readiness().ready, self._streams, services.pool.statistics(), services.tally.statistics())

    def banner(self) -> str:
        """What a person wants to know when the server is ready."""
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        slots = self._services.pool.statistics().slots
        s = "" if self._certificate is None else "s"
        note = f", {DEMONSTRATION}" if self._model.demonstration else ""
        return (
            f"trioscribe is ready: stream to ws{s}://{host}:{self.port}/, "
            f"exports at http{s}://{host}:{self.rest_port}/exports (documented at /docs); "
            f"model {self._model.name}{note}; {slots} inference slot{'s' if slots != 1 else ''}"
        )

    async def run(self) -> None:
        """Serve until drained; streams get the grace time of the settings, what is left then stays recoverable."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                partial(
                    serve_websockets,
                    self._handle,
                    self._listeners,
                    certificate=self._certificate,
                    paths=DIALECTS,
                    max_message=self._settings.max_message_mb * 1024 * 1024,
                    on_failure=partial(self._services.tally.fault, "connection"),
                )
            )
            await self._draining.wait()
            with trio.move_on_after(self._settings.grace_s):
                await self._idle.wait()
            nursery.cancel_scope.cancel()

    async def _handle(self, request: Request) -> None:
        export_id = self._services.store.new_id()
        with logs.about_stream(export_id):
            try:
                await self._receive(request, export_id)
            except DisconnectedError as gone:
                _logger.info("A handshake broke off: %s", gone)

    async def _receive(self, request: Request, export_id: str) -> None:
        """Let a client in, if it may come in, and serve it."""
        try:
            owner = self._door.visitor(request)
            self._admit()
        except RefusedError as refused:
            _logger.info("A client is refused", extra={"peer": request.address, "reason": refused.code})
            self._services.tally.refused[refused.code] += 1
            await request.reject(refused.status, refused.code, str(refused))
            return
        wire: Wire = await request.accept(export_id)
        if self._door.locked and owner is None:
            try:
                owner, wire = await self._door.ask(wire)
            except RefusedError as refused:
                _logger.info("A client is refused", extra={"peer": request.address, "reason": refused.code})
                self._services.tally.refused[refused.code] += 1
                await turn_away(wire, refused)
                return
        _logger.info("A stream begins", extra={"peer": request.address, "key": owner or "none"})
        await self._converse(
            Session(wire, export_id, self._services, DIALECTS[request.path], self._draining, owner=owner)
        )

    def _admit(self) -> None:
        if self._draining.is_set():
            raise RefusedError(503, "shutting_down", "The server is shutting down; connect again later.")

    async def _converse(self, session: Session) -> None:
        self._streams += 1
        try:
            await session.run()
        finally:
            self._streams -= 1
            _logger.info("The stream has ended")
            if self._draining.is_set() and not self._streams:
                self._idle.set()


async def serve(settings: Settings, *, task_status: trio.TaskStatus[App] = trio.TASK_STATUS_IGNORED) -> None:
    """Run a server until SIGINT or SIGTERM (a second one ends it at once), or until `App.drain`.

    Reports the `App` when it is ready. Raises `StartupError` or `ModelError` if it cannot start.
    """
    logs.configure(settings.log_level, settings.log_format)
    security = await secure(settings)
    model = find(settings.model, settings.models_dir)
    store = Store(settings.data_dir)
    await store.prepare()
    listeners = await open_listeners(settings.host, settings.port)
    rest_socket = open_rest_socket(settings.host, settings.rest_port)
    with logging_to(_log_native), closing(rest_socket), closing(await _load_pool(settings, model)) as pool:
        services = Services(
            store=store,
            pool=pool,
            detector=SileroDetector,
            policy=_policy(settings, model),
            languages=languages() if model.header.multilingual else frozenset({"en"}),
            model=model.name,
            stall=settings.stall_s,
            send_timeout=settings.send_timeout_s,
        )
        app = App(
            settings=settings,
            model=model,
            services=services,
            security=security,
            listeners=listeners,
            rest_port=rest_socket.getsockname()[1],
        )
        rest_shutdown = trio.Event()
        async with trio.open_nursery() as nursery:
            rest = create_app(store, app.readiness, security.door)
            add_metrics(rest, app.snapshot, settings.data_dir)
            await nursery.start(
                partial(
                    serve_rest,
                    rest,
                    rest_socket,
                    shutdown=rest_shutdown,
                    certificate=security.certificate,
                    on_crash=partial(services.tally.fault, "rest_connection"),
                )
            )
            nursery.start_soon(watch_lag, services.tally.lag)
            nursery.start_soon(security.keep_up)
            nursery.start_soon(_obey_signals, app, nursery.cancel_scope)
            task_status.started(app)
            print(app.banner(), flush=True)  # noqa: T201 - the ready line is for people and for scripts that wait
            await app.run()
            rest_shutdown.set()
            nursery.cancel_scope.deadline = trio.current_time() + REST_GRACE_SECONDS


def _log_native(text: str) -> None:
    # Its levels tell nothing: it calls an aborted inference an error, and language detection a warning.
    _native_logger.debug("%s", text.rstrip())


def _policy(settings: Settings, model: Model) -> Policy:
    return Policy(
        agreement=settings.agreement,
        endpoint=settings.endpoint_ms * SAMPLE_RATE // 1000,
        max_utterance=int(settings.max_utterance_s * SAMPLE_RATE),
        step=settings.step_ms * SAMPLE_RATE // 1000,
        language=settings.language,
        task=settings.task,
        prompt=settings.prompt,
        eager=settings.partials == "eager",
        carry_prompt=model.carry_prompt,
    )


async def _load_pool(settings: Settings, model: Model) -> InferencePool:
    cores = usable_cores()
    floor = model.audio_ctx_floor if settings.audio_ctx_floor < 0 else settings.audio_ctx_floor
    recognizers = [
        await trio.to_thread.run_sync(WhisperRecognizer, model.path, Decoding(floor))
        for _ in range(settings.slots or cores)
    ]
    return InferencePool(recognizers, cores)


async def _obey_signals(app: App, everything: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            if app.readiness().ready:
                app.drain()
            else:
                everything.cancel()

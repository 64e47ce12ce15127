"""The composition root: puts the rooms together, serves, and at the end drains and closes them in order."""

from __future__ import annotations

import logging
import signal
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from engine.whisper import languages, logging_to
from models.library import DEMONSTRATION, find
from server.access.security import secure
from server.admission.entrance import Entrance
from server.admission.rules import Limits
from server.errors import SettingsError
from server.exports.retention import Keep, sweep
from server.exports.store import Store
from server.monitoring import logs
from server.monitoring.lag import watch_lag
from server.monitoring.metrics import Snapshot
from server.recognition import bench, detectors, load_pool, policy
from server.rest.figures import add_metrics
from server.rest.routes import Readiness, create_app
from server.rest.serving import serve_rest
from server.streams.dialects import DIALECTS
from server.streams.reception import Reception
from server.streams.recovery import recover
from server.streams.services import Services, StreamLimits
from server.transport.gate import Guard
from server.transport.lobby import Lobby
from server.transport.ports import listening
from server.transport.websocket import serve_websockets

if TYPE_CHECKING:
    import socket

    from models.library import Model
    from server.access.security import Security
    from server.settings.table import Settings

REST_GRACE_SECONDS: Final = 6.0
"""A second more than REST takes on its own to let running downloads end."""

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
        sockets: list[socket.socket],
        rest_port: int,
    ) -> None:
        self.port: int = sockets[0].getsockname()[1]
        self.rest_port = rest_port
        self._settings = settings
        self._model = model
        self._services = services
        self._certificate = security.certificate
        self._entrance = Entrance(
            services.pool,
            Limits(settings.max_streams, settings.max_streams_per_address, load=settings.admission == "measured"),
            settings.queue,
            self._has_room,
        )
        self._reception = Reception(services, security.door, self._entrance)
        self._bench = bench(settings, model, services.pool, services.detector)
        self._sockets = sockets

    @property
    def draining(self) -> bool:
        """Whether no new streams are taken any more."""
        return self._reception.draining.is_set()

    def drain(self) -> None:
        """Begin to shut down: take no new streams, finish and store those that are open."""
        self._reception.drain()

    def _has_room(self) -> bool:
        return self._settings.storage_failure == "continue" or self._services.store.has_room()

    def _rest(self) -> float:
        return self._services.pool.load.rest(trio.current_time())

    def readiness(self) -> Readiness:
        """Whether a new stream would be taken."""
        reason = self._reception.refusal()
        slots = self._services.pool.statistics().slots
        return Readiness(
            reason is None, reason.code if reason else "ready", self._reception.streams, slots, self._model.name
        )

    def snapshot(self) -> Snapshot:
        """The figures for `/metrics`."""
        services = self._services
        return Snapshot(
            self.readiness().ready,
            self._entrance.statistics(),
            services.pool.statistics(),
            services.tally.statistics(),
        )

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

    async def recall(self) -> None:
        """Find out what this host was last measured to hold: to be known before the first stream is let in."""
        await self._bench.recall()

    async def run(self) -> None:
        """Serve until drained; streams get the grace time of the settings, what is left then stays recoverable."""
        async with trio.open_nursery() as nursery:
            fault = partial(self._services.tally.fault, "connection")
            nursery.start_soon(
                partial(
                    serve_websockets,
                    partial(self._reception.handle, Guard(nursery, fault)),
                    self._sockets,
                    certificate=self._certificate,
                    rest_port=self.rest_port,
                    paths=DIALECTS,
                    max_message=self._settings.max_message_mb * 1024 * 1024,
                    handshake=self._settings.handshake_s,
                    rest=self._rest,
                    lobby=Lobby(on_crowded=partial(self._services.tally.fault, "crowded")),
                    on_failure=fault,
                )
            )
            nursery.start_soon(self._put_in_order)
            nursery.start_soon(sweep, self._services.store, _keep(self._settings))
            await self._reception.draining.wait()
            with trio.move_on_after(self._settings.grace_s):
                await self._reception.empty.wait()
            nursery.cancel_scope.cancel()

    async def _put_in_order(self) -> None:
        """What is done in the background once the server is ready."""
        await self._bench.calibrate()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(recover, self._services)
            nursery.start_soon(self._bench.keep_up, self._entrance.full)


def _keep(settings: Settings) -> Keep:
    return Keep(settings.keep_days, settings.keep_exports, int(settings.keep_gb * 2**30))


async def serve(settings: Settings, *, task_status: trio.TaskStatus[App] = trio.TASK_STATUS_IGNORED) -> None:
    """Run a server until SIGINT or SIGTERM (a second one ends it at once), or until `App.drain`.

    Reports the `App` when it is ready. Raises `StartupError`, `ModelError` or, for a language that the model does not
    know, `SettingsError` if it cannot start.
    """
    logs.configure(settings.log_level, settings.log_format)
    security = await secure(settings)
    model = find(settings.model, settings.models_dir)
    known = languages() if model.header.multilingual else frozenset({"en"})
    if settings.language not in {"auto", *known}:
        raise SettingsError(
            f"language is {settings.language!r}, which the model {model.name} does not know. "
            f"It knows: {', '.join(sorted(known))}."
        )
    store = Store(settings.data_dir, min_free=settings.min_free_disk_mb * 1024 * 1024)
    await store.prepare()
    with (
        listening("WebSocket", settings.host, settings.port) as sockets,
        listening("REST", settings.host, settings.rest_port) as rest_sockets,
        logging_to(_log_native),
        closing(await load_pool(settings, model)) as pool,
    ):
        services = Services(
            store=store,
            pool=pool,
            detector=detectors(),
            policy=policy(settings, model),
            languages=known,
            model=model.name,
            limits=StreamLimits(
                stall=settings.stall_s,
                send_timeout=settings.send_timeout_s,
                idle=settings.idle_s,
                ping=settings.ping_s,
                resume=settings.resume_s,
                stream=settings.max_stream_h * 3_600,
                record_or_end=settings.storage_failure == "end",
            ),
        )
        app = App(
            settings=settings,
            model=model,
            services=services,
            security=security,
            sockets=sockets,
            rest_port=rest_sockets[0].getsockname()[1],
        )
        rest_shutdown = trio.Event()
        async with trio.open_nursery() as nursery:
            await nursery.start(_obey_signals, app, nursery.cancel_scope)
            nursery.start_soon(watch_lag, services.tally.lag)
            nursery.start_soon(security.keep_up)
            pages = create_app(
                store, app.readiness, security.door, max_body=settings.rest_body_kb * 1024, stream_port=app.port
            )
            add_metrics(pages, app.snapshot, settings.data_dir)
            async with trio.open_nursery() as rest:
                await rest.start(
                    partial(
                        serve_rest,
                        pages,
                        rest_sockets,
                        shutdown=rest_shutdown,
                        keep_alive=settings.rest_timeout_s,
                        certificate=security.certificate,
                        on_crash=partial(services.tally.fault, "rest_connection"),
                        on_crowded=partial(services.tally.fault, "rest_crowded"),
                    )
                )
                await app.recall()
                task_status.started(app)
                print(app.banner(), flush=True)  # noqa: T201 - the ready line is for people and for scripts that wait
                await app.run()
                rest_shutdown.set()
                rest.cancel_scope.deadline = trio.current_time() + REST_GRACE_SECONDS
            nursery.cancel_scope.cancel()


def _log_native(text: str) -> None:
    # Its levels tell nothing: it calls an aborted inference an error, and language detection a warning.
    _native_logger.debug("%s", text.rstrip())


async def _obey_signals(
    app: App, everything: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            if app.draining:
                everything.cancel()
            else:
                app.drain()

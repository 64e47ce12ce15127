"""A store with an export in it, and the REST interface to it: the application alone, and on a real port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from server.exports.store import Store
from server.rest.routes import create_app
from server.rest.serving import serve_rest
from server.transport.ports import listening
from tests.rest.application import FINALS, OPEN_DOOR, PCM, READY
from tests.rest.server import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from quart.typing import TestClientProtocol


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    await store.prepare()
    return store


@pytest.fixture
async def export_id(store: Store) -> str:
    recorder = await store.record(store.new_id(), sample_rate=16_000, model="tiny")
    await recorder.audio(PCM)
    for final in FINALS:
        await recorder.final(final)
    await recorder.complete(language="de")
    return recorder.export_id


@pytest.fixture
async def client(store: Store) -> TestClientProtocol:
    return create_app(store, lambda: READY, OPEN_DOOR, stream_port=8394).test_client()


@pytest.fixture
async def start(store: Store, nursery: trio.Nursery) -> AsyncIterator[Callable[..., Any]]:
    with listening("REST", "127.0.0.1", 0) as listeners:

        async def start(grace: float = 5.0) -> Server:
            server = Server(listeners[0])
            app = create_app(store, lambda: READY, OPEN_DOOR, stream_port=8394)

            async def run(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
                await serve_rest(
                    app,
                    listeners,
                    shutdown=server.shutdown,
                    grace=grace,
                    on_crash=server.crash,
                    task_status=task_status,
                )
                server.stopped.set()

            await nursery.start(run)
            return server

        yield start
        nursery.cancel_scope.cancel()

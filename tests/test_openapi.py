"""The REST interface against its own description: requests made up by Schemathesis, to a real port."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import schemathesis
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.conftest import running
from tests.speech import clips

if TYPE_CHECKING:
    from pathlib import Path

    from schemathesis import APIOperation, Case

SPEECH = {clip.name: clip.pcm for clip in clips()}
EXAMPLES = 8
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    unsupported_method,
]
OPERATIONS = {
    "GET /health",
    "GET /ready",
    "GET /exports",
    "GET /exports/{export_id}",
    "DELETE /exports/{export_id}",
    "GET /export/transcript/{export_id}",
    "GET /export/audio/{export_id}",
}


def check_all(url: str, known: list[str]) -> set[str]:
    """Ask as described and otherwise, of IDs at random and of those that exist. Returns what was asked."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    asked = set()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        asked.add(operation.label)
        check_operation(operation, GenerationMode.POSITIVE, known)
        with suppress(Unsatisfiable):  # where nothing can be asked wrong
            check_operation(operation, GenerationMode.NEGATIVE, known)
    return asked


def check_operation(operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode, known: list[str]) -> None:
    @settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case[Any]) -> None:
        case.call_and_validate(checks=CHECKS)
        for export_id in known:
            if "export_id" in case.path_parameters and case.method != "DELETE":
                case.path_parameters["export_id"] = export_id
                case.call_and_validate(checks=CHECKS)

    check()


async def test_every_answer_is_one_that_the_description_names(tmp_path: Path) -> None:
    async with running(tmp_path, admission="open") as client, client.open() as live:
        await live.send_message(bytes(32_000))
        known = [dict(live.handshake_headers)[b"trioscribe-export-id"].decode()]
        known.append((await client.talk(SPEECH["en-coffee"], "eof")).export_id)
        known.append((await client.talk("eof")).export_id)
        url = f"http://127.0.0.1:{client.app.rest_port}"
        assert await trio.to_thread.run_sync(partial(check_all, url, known)) == OPERATIONS
        assert {export["id"] for export in json.loads(await client.get("/exports"))["exports"]} == set(known)

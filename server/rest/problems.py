"""What goes wrong in the REST interface, as JSON: a code for programs, a sentence, and what to do about it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec
from quart import has_websocket_context, jsonify, request
from quart_schema import RequestSchemaValidationError
from werkzeug.exceptions import HTTPException

from server.errors import ExportNotFoundError, ExportNotReadyError, InvalidCursorError, RefusedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quart.wrappers import Response
    from quart_trio import QuartTrio

_logger = logging.getLogger(__name__)

UNAUTHORIZED: Final = 401
NOT_FOUND: Final = 404

MOST_ECHOED: Final = 100
"""Characters of what was asked that an answer repeats."""

HINTS: Final = {
    404: "GET /docs shows what there is.",
    405: "The Allow header names the methods that are possible here; GET /docs shows more.",
    406: "Ask for one of these in the Accept header, or with ?format=json, txt, srt, vtt or tsv.",
    413: "Send the request without a body.",
    416: "Ask for bytes within the file; the Content-Range header tells its size.",
}


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request failed: a stable code, a sentence, what to do. `state` is given with `export_live`."""

    error: str
    message: str
    hint: str
    state: str | None = None


def handle_errors(app: QuartTrio, allowed: Mapping[str, str], stream_port: int) -> None:
    """Make every error of `app` an `ErrorBody`.

    `allowed` says of the parameters of queries what they must be. `stream_port` is where streams are taken.
    """

    @app.errorhandler(ExportNotFoundError)
    async def not_found(error: ExportNotFoundError) -> Response:
        return _answer(404, ErrorBody("export_not_found", str(error), "GET /exports lists the exports there are."))

    @app.errorhandler(ExportNotReadyError)
    async def live(error: ExportNotReadyError) -> Response:
        hint = "Try again when its stream has ended; GET /exports/ID tells its state."
        return _answer(409, ErrorBody("export_live", str(error), hint, state="live"))

    @app.errorhandler(InvalidCursorError)
    async def bad_cursor(error: InvalidCursorError) -> Response:
        return _answer(400, ErrorBody("bad_cursor", str(error), "Leave 'before' out to begin with the newest."))

    @app.errorhandler(StoreError)
    async def storage(error: StoreError) -> Response:
        _logger.error("%s %s: %s", request.method, request.path, error)
        return _answer(500, ErrorBody("storage_failed", str(error), "Check the disk and the rights of its files."))

    _handle_requests(app, allowed)
    _handle_others(app, stream_port)


def _handle_requests(app: QuartTrio, allowed: Mapping[str, str]) -> None:
    @app.errorhandler(RefusedError)
    async def refused(error: RefusedError) -> Response:
        hint = "GET /docs shows what there is." if error.status == UNAUTHORIZED else "GET /health works from anywhere."
        response = _answer(error.status, ErrorBody(error.code, str(error), hint))
        if error.status == UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    @app.errorhandler(RequestSchemaValidationError)
    async def bad_query(error: RequestSchemaValidationError) -> Response:
        told = str(error.validation_error)
        message = f"The query is not understood: {told}."
        for name, meant in allowed.items():
            if told.endswith(f"`$.{name}`"):
                message = f"{name} is {request.args.get(name, '')[:MOST_ECHOED]!r}; it must be {meant}."
        return _answer(400, ErrorBody("bad_query", message, "GET /docs shows what may be given, and its limits."))


def _handle_others(app: QuartTrio, stream_port: int) -> None:
    @app.errorhandler(HTTPException)
    async def http(error: HTTPException) -> Response:
        status = error.code or 500
        code = error.name.lower().replace(" ", "_")
        message = "There is nothing at this address." if status == NOT_FOUND else str(error.description)
        if has_websocket_context():
            message = f"This is the REST port; streams are taken at port {stream_port}."
        response = _answer(status, ErrorBody(code, message, HINTS.get(status, "GET /docs shows how to ask.")))
        for name, value in error.get_headers():
            if name.lower() not in {"content-type", "content-length"}:
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    async def unexpected(error: Exception) -> Response:
        _logger.error("%s %s failed", request.method, request.path, exc_info=error)
        hint = "This is a mistake in the server: please report it with the server's log."
        return _answer(500, ErrorBody("internal_error", "The server failed to answer this request.", hint))


def _answer(status: int, body: ErrorBody) -> Response:
    response = jsonify(msgspec.to_builtins(body))
    response.status_code = status
    return response

"""The REST interface: exports to read, list and delete, and how the server is. See `docs/rest.md`."""

from __future__ import annotations

import importlib.resources
from typing import TYPE_CHECKING, Annotated, Final, Literal, cast

import msgspec
import trio
from quart import request
from quart_schema import (
    Info,
    QuartSchema,
    document_response,
    hide,
    tag,
    validate_querystring,
    validate_response,
)
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse as Response
from werkzeug.exceptions import NotAcceptable

from server.exports.export import Export
from server.exports.formats import FORMATS
from server.exports.store import ExportPage, Store
from server.protocol import WireFinal
from server.rest.access import guard, shelf
from server.rest.download import send_file
from server.rest.openapi import Description
from server.rest.problems import ErrorBody, handle_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from quart.json.provider import DefaultJSONProvider

    from server.access.door import Door

MAX_BODY_BYTES: Final = 64 * 1024
"""No request here has a body of use; what comes anyway is not kept."""

LONGEST_PAGE: Final = 200

ALLOWED: Final = {
    "limit": f"a whole number from 1 to {LONGEST_PAGE}",
    "format": f"{', '.join(FORMATS)}, or text for txt",
}
"""What the parameters of queries must be."""

CURSOR: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z\.[0-9a-f]{32}$"


class Readiness(msgspec.Struct, frozen=True):
    """Whether the server takes streams, and if not why; `streams` are live, `slots` decode at the same time."""

    ready: bool
    reason: str
    streams: int
    slots: int
    model: str


class Health(msgspec.Struct, frozen=True):
    """The server is alive."""

    status: Literal["ok"] = "ok"


class PageQuery(msgspec.Struct, frozen=True):
    """Which part of the list of exports."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_PAGE, description="How many at most.")] = 50
    before: Annotated[
        str | None,
        # Only described here: the store says by itself that it is no cursor, with a code of its own.
        msgspec.Meta(description="The next of the page before.", extra_json_schema={"pattern": CURSOR}),
    ] = None


class FormatQuery(msgspec.Struct, frozen=True):
    """Which format of a transcript."""

    format: Annotated[
        Literal["json", "text", "txt", "srt", "vtt", "tsv"] | None,
        msgspec.Meta(description="Without it the Accept header decides, and without that it is json."),
    ] = None


def create_app(
    store: Store,
    ready: Callable[[], Readiness],
    door: Door,
    *,
    stream_port: int,
    max_body: int = MAX_BODY_BYTES,
) -> QuartTrio:
    """Make the application.

    `ready` is asked for each GET /ready; `door` says who sees what; `max_body` is in bytes; to `stream_port` those are
    sent who come here with a stream.
    """
    app = QuartTrio(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = max_body
    # A path is taken as it comes: no redirects to a "better" one.
    app.url_map.merge_slashes = False
    QuartSchema(
        app,
        info=Info(title="trioscribe", version="1", description=__doc__),
        conversion_preference="msgspec",
        openapi_provider_class=Description,
        swagger_ui_path=None,  # these three would load their scripts from the internet
        redoc_ui_path=None,
        scalar_ui_path=None,
    )
    cast("DefaultJSONProvider", app.json).sort_keys = False  # fields come in the order in which they are documented
    handle_errors(app, ALLOWED, stream_port)
    guard(app, door)
    _add_status(app, ready)
    _add_exports(app, store)
    _add_files(app, store)
    _add_docs(app)

    @app.after_request
    async def harden(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    return app


def _add_status(app: QuartTrio, ready: Callable[[], Readiness]) -> None:
    @app.get("/health")
    @tag(["status"])
    @validate_response(Health)
    async def health() -> Health:
        """Tell that the process is alive."""
        return Health()

    @app.get("/ready")
    @tag(["status"])
    @validate_response(Readiness, 200)
    @validate_response(Readiness, 503)
    async def readiness() -> tuple[Readiness, int]:
        """Tell whether a new stream would be taken: 200 if so, 503 with the reason if not."""
        now = ready()
        return now, 200 if now.ready else 503


def _add_exports(app: QuartTrio, store: Store) -> None:
    @app.get("/exports")
    @tag(["exports"])
    @validate_querystring(PageQuery)
    @validate_response(ExportPage)
    @document_response(ErrorBody, 400)
    async def list_exports(query_args: PageQuery) -> ExportPage:
        """List the exports, newest first."""
        return await shelf(store).page(limit=query_args.limit, before=query_args.before)

    @app.get("/exports/<export_id>")
    @tag(["exports"])
    @validate_response(Export)
    @document_response(ErrorBody, 404)
    async def show_export(export_id: str) -> Export:
        """Show what is known of an export."""
        return await shelf(store).find(export_id)

    @app.delete("/exports/<export_id>")
    @tag(["exports"])
    @document_response(ErrorBody, 404)
    @document_response(ErrorBody, 409)
    async def delete_export(export_id: str) -> Response:
        """Delete an export, audio and transcript, for good."""
        await shelf(store).delete(export_id)
        response = Response(status=204)
        del response.headers["Content-Type"]
        return response


def _add_files(app: QuartTrio, store: Store) -> None:
    @app.get("/export/transcript/<export_id>")
    @tag(["exports"])
    @validate_querystring(FormatQuery)
    @document_response(list[WireFinal])
    @document_response(ErrorBody, 400)
    @document_response(ErrorBody, 404)
    @document_response(ErrorBody, 406)
    @document_response(ErrorBody, 409)
    async def transcript(export_id: str, query_args: FormatQuery) -> Response:
        """Download a transcript: the finals as they were sent, or text, subtitles, a table."""
        name = _format_name(query_args)
        finals = await shelf(store).finals(export_id)
        # Cutting the cues of a day of speech takes seconds; live streams must not wait for that.
        body = await trio.to_thread.run_sync(FORMATS[name].render, finals)
        response = Response(body, content_type=f"{FORMATS[name].media_type}; charset=utf-8")
        response.headers["Content-Disposition"] = f'inline; filename="trioscribe-{export_id}.{name}"'
        response.headers["Cache-Control"] = "private, no-cache"
        response.vary.add("Accept")
        return response

    @app.get("/export/audio/<export_id>")
    @tag(["exports"])
    @document_response(ErrorBody, 404)
    @document_response(ErrorBody, 409)
    @document_response(ErrorBody, 416)
    async def audio(export_id: str) -> Response:
        """Download the audio as a WAV file, or a part of it (Range)."""
        export, path = await shelf(store).audio(export_id)
        return await send_file(
            path,
            request,
            media_type="audio/wav",
            name=f"trioscribe-{export_id}.wav",
            etag=f"{export_id}-{export.samples}",
        )


def _add_docs(app: QuartTrio) -> None:
    @app.get("/docs")
    @hide
    async def docs() -> Response:
        page = await trio.to_thread.run_sync(_docs_page)
        response = Response(page, content_type="text/html; charset=utf-8")
        # The page works without internet, and the browser is told to keep it that way.
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
        )
        return response


def _docs_page() -> bytes:
    return importlib.resources.files("server.rest").joinpath("docs.html").read_bytes()


def _format_name(query: FormatQuery) -> str:
    """Name the format that is asked for: by the query if it says so, by the Accept header else."""
    if query.format:
        return "txt" if query.format == "text" else query.format
    if not request.accept_mimetypes:
        return "json"
    offered = {fmt.media_type: name for name, fmt in FORMATS.items()}
    best = request.accept_mimetypes.best_match(list(offered))
    if best is None:
        raise NotAcceptable(f"A transcript can be had as {', '.join(offered)}.")
    return offered[best]

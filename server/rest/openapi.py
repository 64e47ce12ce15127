"""The description of the REST interface that programs read: OpenAPI 3.1 at /openapi.json."""

from __future__ import annotations

import inspect
from typing import Any, Final

import msgspec
from quart_schema.openapi import OpenAPIProvider

from server.exports.formats import FORMATS

REFERENCE: Final = "#/components/schemas/{name}"


class Description(OpenAPIProvider):
    """quart-schema's description, with what it leaves out.

    Of a msgspec type it keeps one component and drops those that this one refers to, and it knows no answers
    but JSON.
    """

    def schema(self) -> dict[str, Any]:
        """Build the whole description."""
        schema = super().schema()
        text = {"schema": {"type": "string"}}
        transcript = schema["paths"]["/export/transcript/{export_id}"]["get"]["responses"][200]
        transcript["content"] |= {known.media_type: text for name, known in FORMATS.items() if name != "json"}
        audio = schema["paths"]["/export/audio/{export_id}"]["get"]["responses"]
        for status, meaning in ((200, "The whole file."), (206, "The part of it that Range asks for.")):
            audio[status] = {"description": meaning, "content": {"audio/wav": {}}}
        schema["paths"]["/exports/{export_id}"]["delete"]["responses"][204] = {"description": "It is deleted."}
        return schema

    def build_response_object(self, model: Any, headers_model: Any) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ANN401, ARG002  quart-schema's signature
        """Build the description of a JSON answer, with all types that it refers to."""
        (schema,), components = msgspec.json.schema_components([model], ref_template=REFERENCE)
        meaning = inspect.getdoc(model) if isinstance(model, type(msgspec.Struct)) else "A list, in order."
        return {"description": meaning, "content": {"application/json": {"schema": schema}}}, components

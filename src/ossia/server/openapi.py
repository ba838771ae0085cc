"""The server's own description, an OpenAPI 3.1 document, made from what the endpoints declare.

Source: OpenAPI Specification 3.1.0. The schemas are msgspec's, JSON Schema 2020-12, which 3.1 takes as they are.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from ossia.server.endpoint import Endpoint
from ossia.server.faults import AnthropicError, OllamaError, OpenAIError, Style, style_of

__all__ = ["document"]

REFERENCES = "#/components/schemas/{name}"

_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
"""`{id}` in a path, or `{id:path}` where it may have slashes in it."""

_ERRORS: Mapping[Style, type[Struct]] = {
    Style.OPENAI: OpenAIError,
    Style.OLLAMA: OllamaError,
    Style.ANTHROPIC: AnthropicError,
}


def document(endpoints: Iterable[Endpoint], version: str) -> dict[str, Any]:
    """The document of these endpoints, ready to be encoded as JSON."""
    endpoints = list(endpoints)
    kinds = list(dict.fromkeys(kind for endpoint in endpoints for kind in _kinds(endpoint)))
    schemas, components = msgspec.json.schema_components(kinds, schema_hook=_of_anything, ref_template=REFERENCES)
    by_kind = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        path = _PARAMETER.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ossia",
            "version": version,
            "description": "OpenAI's, Ollama's and Anthropic's APIs over gpt-oss, served locally.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        # A server without keys lets everybody in: the empty one.
        "security": [{"bearer": []}, {"header": []}, {}],
    }


def _kinds(endpoint: Endpoint) -> list[Any]:
    """Every type whose schema the endpoint's operation shows."""
    declared = [endpoint.body, endpoint.answer, endpoint.events, _ERRORS[style_of(endpoint.path)]]
    return [kind for kind in declared if _has_schema(kind)]


def _of_anything(kind: type) -> dict[str, Any]:
    """The schema of `object`: any JSON. Raises TypeError for a type that no body can have."""
    if kind is object:
        return {"description": "Any JSON."}  # msgspec takes an empty schema for none at all
    raise TypeError(f"{kind!r} has no JSON Schema")


def _has_schema(kind: Any) -> bool:
    return kind is not None and not isinstance(kind, str)


def _operation(endpoint: Endpoint, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": _operation_id(endpoint),
        "responses": {"200": _answer(endpoint, schemas), "default": _error(endpoint, schemas)},
    }
    if parameters := _parameters(endpoint):
        operation["parameters"] = parameters
    if endpoint.body is not None:
        content = {"application/json": {"schema": schemas[endpoint.body]}}
        operation["requestBody"] = {"required": True, "content": content}
    if endpoint.open:
        operation["security"] = []
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    words = re.findall(r"\w+", _PARAMETER.sub(r"\1", endpoint.path))
    return "_".join([endpoint.method.lower(), *words])


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    string = {"type": "string"}
    inside = [
        {"name": name, "in": "path", "required": True, "schema": string} for name in _PARAMETER.findall(endpoint.path)
    ]
    behind = [
        {"name": name, "in": "query", "required": False, "description": text, "schema": string}
        for name, text in endpoint.query.items()
    ]
    return inside + behind


def _answer(endpoint: Endpoint, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if isinstance(endpoint.answer, str):
        content[endpoint.answer] = {"schema": {"type": "string"}}
    elif endpoint.answer is not None:
        content["application/json"] = {"schema": schemas[endpoint.answer]}
    if endpoint.events is not None:
        content[endpoint.stream] = {"schema": schemas[endpoint.events]}
    return {"description": "The answer.", "content": content} if content else {"description": "Done."}


def _error(endpoint: Endpoint, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    schema = schemas[_ERRORS[style_of(endpoint.path)]]
    return {"description": "An error.", "content": {"application/json": {"schema": schema}}}

"""Requests that the server's own description allows, and some that it does not, judged by that description.

    OSSIA_FUZZ_EXAMPLES=1000 pytest tests/server/fuzz/test_openapi.py

is the long run.
"""

import json
import os
import time
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ossia.server.app import make_app
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.serving import service_for

EXAMPLES = int(os.environ.get("OSSIA_FUZZ_EXAMPLES", "12"))
SECONDS = 10.0
"""For one answer, on a machine that is busy with other things."""

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
NOT_DONE = ("/api/embed", "/api/embeddings", "/v1/embeddings", "/api/create", "/api/copy", "/api/push")
"""These say 501, as they should: nothing here does that."""

FETCHING = ("/api/pull", "/api/delete")
"""These reach for the network, or for what is stored: they have tests of their own."""

HERE = {"Host": "127.0.0.1"}
FINAL = "<|channel|>final<|message|>No.<|return|>"

_app = make_app(service_for(Player(VOCABULARY, FINAL, endless=True), store=":memory:"))
_schema = schemathesis.openapi.from_asgi("/openapi.json", _app, headers=HERE)
_operations: dict[str, Any] = {
    operation.label: operation
    for found in _schema.get_all_operations()
    if (operation := found.ok())  # type: ignore[union-attr]
}


def _sensible(case: Any) -> Any:
    """A case that names the model that is there, if it names any: without it nearly all are a 404."""
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str) and len(case.body["model"]) != 1:
        case.body["model"] = "tiny"
        if case.body.get("messages") == [] or len(case.body.get("messages") or []) > 3:
            case.body["messages"] = [{"role": "user", "content": "u"}]
    return case


def _parts(response: Any) -> list[Any] | None:
    """The JSON of each part of a stream that came to its end; None for what is no stream."""
    kind = response.headers["content-type"][0] if response.status_code == 200 else ""
    if kind.startswith("application/x-ndjson"):
        return [json.loads(line) for line in response.content.splitlines()]
    if kind.startswith("text/event-stream"):
        data = [line[6:] for line in response.content.split(b"\n") if line.startswith(b"data: ")]
        return [json.loads(each) for each in data if each != b"[DONE]"]
    return None


def _conforms(label: str, kind: str, part: Any) -> None:
    """A part of a stream has the schema that is declared for parts; schemathesis would compare the event around it."""
    method, path = label.split()
    raw = _schema.raw_schema
    content = raw["paths"][path][method.lower()]["responses"]["200"]["content"]
    schema = content[kind.partition(";")[0]]["schema"]
    Draft202012Validator({**schema, "components": raw["components"]}).validate(part)


@pytest.mark.parametrize("label", [label for label in _operations if label.split()[1] not in (*FETCHING, *NOT_DONE)])
def test_any_request_is_answered_as_the_description_says(label: str):
    @settings(
        max_examples=EXAMPLES,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(_operations[label].as_strategy().map(_sensible))
    def judged(case: Any) -> None:
        begin = time.monotonic()
        response = case.call(headers=HERE)
        assert time.monotonic() - begin < SECONDS
        parts = _parts(response)
        case.validate_response(
            response, checks=CHECKS if parts is None else [*set(CHECKS) - {response_schema_conformance}]
        )
        for part in parts or ():
            _conforms(label, response.headers["content-type"][0], part)

    judged()


@pytest.mark.parametrize("path", NOT_DONE)
def test_what_is_not_done_here_says_so(path: str):
    case = _operations[f"POST {path}"].Case()
    assert case.call(headers=HERE).status_code == 501


def test_every_operation_is_tried():
    assert len(_operations) >= 30

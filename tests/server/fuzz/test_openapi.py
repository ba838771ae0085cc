"""Requests that the server's own description allows, and some that it does not, judged by that description.

    OSSIA_FUZZ_EXAMPLES=1000 pytest tests/server/fuzz/test_openapi.py

is the long run.
"""

import os
import time
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
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
NOT_DONE = ("/api/embed", "/api/embeddings", "/api/create", "/api/copy", "/api/push")
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
    return case


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
        case.validate_response(response, checks=CHECKS)

    judged()


@pytest.mark.parametrize("path", NOT_DONE)
def test_what_is_not_done_here_says_so(path: str):
    case = _operations[f"POST {path}"].Case()
    assert case.call(headers=HERE).status_code == 501


def test_every_operation_is_tried():
    assert len(_operations) >= 30

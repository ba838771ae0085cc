"""Errors in each API's shape."""

import logging

import anthropic.types.shared as anthropic_types
import pytest
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ossia.errors import (
    CapacityError,
    CheckpointError,
    ContextLengthError,
    ConversationError,
    DownloadError,
    GrammarError,
    ModelNotFoundError,
    OssiaError,
    OverloadedError,
    RequestError,
    UnavailableError,
)
from ossia.server.endpoint import Endpoint
from ossia.server.faults import ClientGone, Fault, RefusedError, Style, fault_of, placing, style_of
from tests.server.door import browser

ANTHROPIC = TypeAdapter(anthropic_types.ErrorResponse)


@pytest.mark.parametrize(
    ("path", "style"),
    [
        ("/v1/chat/completions", Style.OPENAI),
        ("/v1/messages", Style.ANTHROPIC),
        ("/v1/messages/count_tokens", Style.ANTHROPIC),
        ("/v1/messages2", Style.OPENAI),
        ("/api/chat", Style.OLLAMA),
        ("/apis", Style.OPENAI),
        ("/", Style.OPENAI),
    ],
)
def test_a_path_belongs_to_an_api(path: str, style: Style):
    assert style_of(path) is style


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RequestError("x"), 400, "invalid_value"),
        (ConversationError("x"), 400, "invalid_value"),
        (RefusedError("x"), 400, "invalid_value"),
        (ContextLengthError("x"), 400, "context_length_exceeded"),
        (ModelNotFoundError("x"), 404, "model_not_found"),
        (OverloadedError("x", 2.5), 429, "rate_limit_exceeded"),
        (UnavailableError("x"), 503, "unavailable"),
        (CapacityError("x"), 503, "insufficient_capacity"),
        (DownloadError("x"), 502, "download_failed"),
        (CheckpointError("x"), 500, "model_error"),
        (OssiaError("x"), 500, "model_error"),
        (RefusedError("x", status=413, code="c"), 413, "c"),
        (HTTPException(404), 404, "not_found"),
        (ClientGone(), 499, None),
    ],
)
def test_each_error_has_its_status(error: Exception, status: int, code: str | None):
    fault = fault_of(error)
    assert (fault.status, fault.code) == (status, code)


def test_an_overload_says_when_to_come_again():
    assert fault_of(OverloadedError("x", 2.5)).headers == (("Retry-After", "3"),)
    assert fault_of(OverloadedError("x", 0.0)).headers in ((("Retry-After", "1"),), ())


def test_a_field_that_an_error_knows_is_named():
    assert fault_of(RequestError("x", param="tools[0]")).param == "tools[0]"
    assert fault_of(GrammarError("x", where="functions.f", path="/a")).param == "functions.f"
    assert fault_of(ModelNotFoundError("x")).param == "model"


@pytest.mark.parametrize(
    ("error", "message", "param"),
    [
        (RequestError("max_tokens is 0; 1 is right", param="max_tokens"), "most is 0; 1 is right", "most"),
        (RequestError("a token of max_tokens is 0", param="max_tokens"), "a token of most is 0", "most"),
        (RequestError("too long for max_tokens is this", param="max_tokens"), None, "most"),
        (RequestError("top_p is 0", param="top_p"), None, "top_p"),
        (GrammarError("'not' cannot be", where="functions.f", path="/a"), None, "tools[0].parameters"),
        (RequestError("x"), None, None),
        (RefusedError("max_tokens is 0", param="max_tokens"), None, "max_tokens"),
    ],
)
def test_what_is_raised_within_names_the_requests_field(error: RequestError, message: str | None, param: str | None):
    before = str(error)
    with pytest.raises(RequestError) as caught, placing({"max_tokens": "most", "functions.f": "tools[0].parameters"}):
        raise error
    assert (str(caught.value), caught.value.param) == (message or before, param)


def test_shapes_without_a_place_for_the_field_have_it_in_their_words():
    fault = Fault(status=400, message="x is 5", param="x")
    assert fault.words == "x is 5"
    assert Fault(status=400, message="5 is too much", param="x").words == "x: 5 is too much"


@pytest.mark.parametrize("kind", [RequestError, RefusedError, CheckpointError])
def test_a_message_is_bounded(kind: type[Exception]):
    assert len(fault_of(kind("x" * 10_000)).message) == 2000


class Raising:
    """Endpoints that raise what they are told."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.endpoints = [Endpoint("GET", path, self.run, "") for path in ("/v1/x", "/api/x", "/v1/messages/x")]

    async def run(self, request: object) -> Response:
        raise self._error

    def answer(self, path: str):
        return browser(self.endpoints).get(path)


@pytest.mark.parametrize(
    ("error", "openai", "anthropic"),
    [
        (RefusedError("words", param="a.b", code="c"), "invalid_request_error", "invalid_request_error"),
        (RefusedError("words", status=401), "invalid_request_error", "authentication_error"),
        (RefusedError("words", status=403), "invalid_request_error", "permission_error"),
        (ModelNotFoundError("words"), "invalid_request_error", "not_found_error"),
        (RefusedError("words", status=413), "invalid_request_error", "request_too_large"),
        (RefusedError("words", status=422), "invalid_request_error", "invalid_request_error"),
        (OverloadedError("words", 1.0), "rate_limit_error", "rate_limit_error"),
        (UnavailableError("words"), "server_error", "overloaded_error"),
        (CheckpointError("words"), "server_error", "api_error"),
    ],
)
def test_every_api_gets_its_own_shape(error: Exception, openai: str, anthropic: str):
    fault, raising = fault_of(error), Raising(error)
    answer = raising.answer("/v1/x")
    words = fault.words
    body = {"message": "words", "type": openai, "param": fault.param, "code": fault.code}
    assert (answer.status_code, answer.json()) == (fault.status, {"error": body})
    assert raising.answer("/api/x").json() == {"error": words}
    said = raising.answer("/v1/messages/x").json()
    assert said == {"type": "error", "error": {"type": anthropic, "message": words}}
    # The SDK's own type for each error, except for the sizes, which it does not list.
    if anthropic != "request_too_large":
        assert ANTHROPIC.validate_python(said | {"request_id": None}).error.type == anthropic


@pytest.mark.parametrize("path", ["/v1/none", "/api/none", "/v1/messages/none", "/none", "/v1/x"])
def test_unknown_paths_and_methods_too(path: str):
    answer = browser(Raising(RequestError("")).endpoints).put(path)
    assert answer.status_code == (405 if path == "/v1/x" else 404)
    error = answer.json()["error"]
    assert ("method" if path == "/v1/x" else "there is nothing at this path") in (
        error if isinstance(error, str) else error["message"]
    )
    if path == "/v1/x":
        assert answer.headers["allow"] == "GET, HEAD"


def test_an_unforeseen_error_is_told_by_an_id_that_the_journal_has(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.ERROR):
        answer = Raising(KeyError("the user's secret")).answer("/v1/x")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (500, "internal_error", "server_error")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    (record,) = [record for record in caplog.records if hasattr(record, "error_id")]
    assert record.error_id in error["message"]  # type: ignore[attr-defined]
    assert record.exc_info is not None
    assert record.getMessage().endswith(", builtins.KeyError"), "its message may quote the request"


def test_of_the_systems_own_errors_the_reason_is_written_too(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.ERROR):
        Raising(FileNotFoundError(2, "No such file or directory", "the user's name")).answer("/v1/x")
    (said,) = [record.getMessage() for record in caplog.records if hasattr(record, "error_id")]
    assert said.endswith(", builtins.FileNotFoundError: No such file or directory")

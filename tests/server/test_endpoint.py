"""Endpoints: routes by path and method, bodies and queries as they are declared."""

import pytest
from starlette.requests import Request
from starlette.responses import Response

from ossia.server.endpoint import Endpoint, routes
from tests.server.door import Note, browser


async def answer(request: Request, body: Note | None = None) -> Response:
    return Response(f"{request.method} {request.path_params.get('id', '')} {body.text if body else ''}".strip())


ENDPOINTS = [
    Endpoint("GET", "/notes/{id:path}", answer, "", query={"after": "where to begin"}),
    Endpoint("DELETE", "/notes/{id:path}", answer, ""),
    Endpoint("POST", "/notes", answer, "", body=Note),
]


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [("GET", "/notes/a/b", "GET a/b"), ("DELETE", "/notes/1", "DELETE 1"), ("GET", "/notes/a?after=3", "GET a")],
)
def test_one_path_may_have_several_methods(method: str, path: str, text: str):
    assert browser(ENDPOINTS).request(method, path).text == text


def test_a_body_is_decoded_as_declared():
    assert browser(ENDPOINTS).post("/notes", json={"text": "yes"}).text == "POST  yes"
    assert browser(ENDPOINTS).post("/notes", json={"txt": "yes"}).json()["error"]["param"] == "txt"


def test_head_is_get_without_a_body():
    answer = browser(ENDPOINTS).head("/notes/a")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "6")


@pytest.mark.parametrize(("path", "allowed"), [("/notes/a", "DELETE, GET, HEAD"), ("/notes", "POST")])
def test_another_method_is_refused_with_those_there_are(path: str, allowed: str):
    answer = browser(ENDPOINTS).patch(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert allowed in answer.json()["error"]["message"]


@pytest.mark.parametrize(("path", "right"), [("/notes/a?afterx=1", "after can be given"), ("/notes?x", "")])
def test_an_unknown_query_is_refused_by_its_name(path: str, right: str):
    answer = browser(ENDPOINTS).request("GET" if "afterx" in path else "POST", path, content=b'{"text": ""}')
    if right:
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "afterx")
        assert right in answer.json()["error"]["message"]


def test_paths_are_not_redirected():
    assert browser(ENDPOINTS).post("/notes/", json={"text": ""}).status_code in (404, 405)


def test_two_endpoints_for_one_method_are_a_mistake():
    with pytest.raises(ValueError, match="/notes has two endpoints"):
        routes([ENDPOINTS[2], ENDPOINTS[2]])

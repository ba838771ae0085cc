"""The application as a whole."""

from collections import Counter

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ossia.server.app import ENDPOINTS, make_app
from ossia.server.endpoint import Endpoint
from ossia.server.service import Service, service_of
from tests.server.door import browser, service


def test_no_two_endpoints_are_for_the_same():
    assert max(Counter((each.method, each.path) for each in ENDPOINTS).values()) == 1


def test_everything_is_described_at_openapi_json():
    found = browser(ENDPOINTS).get("/openapi.json").json()
    described = {(method.upper(), path) for path, methods in found["paths"].items() for method in methods}
    served = {(each.method, each.path.replace(":path", "")) for each in ENDPOINTS}
    assert described == served | {("GET", "/openapi.json")}


def test_routes_find_the_service_through_the_request():
    seen: list[Service] = []

    async def look(request: Request) -> Response:
        seen.append(service_of(request))
        return Response(msgspec.json.encode({}))

    shared = service()
    app = make_app(shared, [Endpoint("GET", "/look", look, "")])
    assert app.state.service is shared
    browser([Endpoint("GET", "/look", look, "")]).get("/look")
    assert len(seen) == 1
    assert isinstance(seen[0], Service)


def test_requests_with_bodies_are_refused_when_they_have_none():
    client = browser(ENDPOINTS)
    for each in ENDPOINTS:
        if each.body is not None and "{" not in each.path:
            answer = client.request(each.method, each.path)
            assert answer.status_code == 400, each.path
            assert "the body is empty" in answer.text

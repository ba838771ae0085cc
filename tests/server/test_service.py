"""What routes share."""

import pytest
from starlette.requests import Request
from starlette.responses import Response

from ossia.server.catalogue import Catalogue
from ossia.server.clients import ANYONE
from ossia.server.endpoint import Endpoint
from ossia.server.service import client_of, service_of
from tests.server.door import browser, service


def test_a_request_leads_to_its_service_and_its_client():
    seen: list[object] = []

    async def look(request: Request) -> Response:
        seen.extend([service_of(request).config.port, client_of(request)])
        return Response("")

    browser([Endpoint("GET", "/look", look, "")], port=1234).get("/look")
    assert seen == [1234, ANYONE]


def test_services_share_nothing():
    first, second = service(), service()
    assert first.metrics is not second.metrics
    assert first.recall is not second.recall
    assert isinstance(first.catalogue, Catalogue)
    with pytest.raises(AttributeError):
        first.metrics = second.metrics  # type: ignore[misc]

"""What comes back is what the OpenAPI document shows."""

import msgspec
import pytest

from ossia.server.openapi import document
from ossia.server.responses import endpoints, shapes
from tests.server.responses.responding import answer, ask


def test_every_path_is_described():
    described = document(endpoints, "1")
    assert set(described["paths"]) >= {
        "/v1/responses",
        "/v1/responses/input_tokens",
        "/v1/responses/{response_id}",
        "/v1/responses/{response_id}/cancel",
        "/v1/responses/{response_id}/input_items",
    }
    assert msgspec.json.encode(described)


def test_a_field_that_is_not_shown_would_be_noticed():
    body = ask(answer())
    assert set(body) == set(shapes.Response.__struct_fields__)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**body, "colour": "red"}, shapes.Response)

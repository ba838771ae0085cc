"""The document, judged by a validator of OpenAPI 3.1, and held against what the server does."""

from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.requests import Request
from starlette.responses import Response

from ossia.server.app import ENDPOINTS
from ossia.server.endpoint import Endpoint
from ossia.server.openapi import document
from tests.server.door import Note, browser


class Reply(msgspec.Struct, forbid_unknown_fields=True):
    """What comes back."""

    text: str


class Part(msgspec.Struct, tag="part"):
    """A piece of it."""

    n: int


async def run(request: Request, body: Note | None = None) -> Response:
    return Response(msgspec.json.encode(Reply("yes")), media_type="application/json")


OURS = [
    Endpoint("POST", "/v1/notes", run, "Write.", body=Note, answer=Reply, events=Part),
    Endpoint("GET", "/v1/notes/{id:path}", run, "Read.", answer=Reply, query={"after": "where to begin"}),
    Endpoint("GET", "/api/notes", run, "", answer="text/plain", open=True),
    Endpoint("POST", "/v1/messages", run, "", body=Note, events=Part, stream="application/x-ndjson"),
]


def resolved(found: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema | {"components": found["components"]})


@pytest.mark.parametrize("endpoints", [[], OURS, list(ENDPOINTS)])
def test_it_is_an_openapi_document(endpoints: list[Endpoint]):
    OpenAPIV31SpecValidator(document(endpoints, "1.2.3")).validate()


def test_what_is_declared_is_described():
    found = document(OURS, "1.2.3")
    assert found["info"]["version"] == "1.2.3"
    assert sorted(found["paths"]) == ["/api/notes", "/v1/messages", "/v1/notes", "/v1/notes/{id}"]
    post = found["paths"]["/v1/notes"]["post"]
    assert post["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Note"}
    assert set(post["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    names = {parameter["name"]: parameter["in"] for parameter in found["paths"]["/v1/notes/{id}"]["get"]["parameters"]}
    assert names == {"id": "path", "after": "query"}
    assert found["paths"]["/api/notes"]["get"]["security"] == []
    assert set(found["paths"]["/v1/messages"]["post"]["responses"]["200"]["content"]) == {"application/x-ndjson"}


@pytest.mark.parametrize(
    ("path", "shape"), [("/v1/notes", "OpenAIError"), ("/api/notes", "OllamaError"), ("/v1/messages", "AnthropicError")]
)
def test_errors_have_the_apis_shape(path: str, shape: str):
    found = document(OURS, "1")
    (operation,) = found["paths"][path].values()
    schema = operation["responses"]["default"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": f"#/components/schemas/{shape}"}
    answer = browser(OURS).request("PUT", path).json()
    resolved(found, schema).validate(answer)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"text": "a"}, 200),
        ({"text": 1}, 400),
        ({}, 400),
        ({"text": "a", "x": 1}, 400),
        ({"text": "a", "number": 2}, 200),
    ],
)
def test_the_schema_of_a_body_accepts_what_the_server_does(body: Any, status: int):
    found = document(OURS, "1")
    schema = found["paths"]["/v1/notes"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert resolved(found, schema).is_valid(body) is (status == 200)
    assert browser(OURS).post("/v1/notes", json=body).status_code == status


def test_operations_have_names_of_their_own():
    paths = document(ENDPOINTS, "1")["paths"].values()
    names = [operation["operationId"] for path in paths for operation in path.values()]
    assert len(set(names)) == len(names)


def test_what_may_be_anything_has_a_schema_and_what_is_no_json_has_none():
    anything = msgspec.defstruct("Anything", [("value", object), ("values", dict[str, object])])
    found = document([Endpoint("POST", "/x", run, "", body=anything)], "1")
    assert resolved(found, {"$ref": "#/components/schemas/Anything"}).is_valid({"value": [1], "values": {"a": None}})
    with pytest.raises(TypeError, match="has no JSON Schema"):
        document([Endpoint("POST", "/x", run, "", body=msgspec.defstruct("Bad", [("value", range)]))], "1")

"""The list of models, in the openai package's own types."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from openai.types import Model
from starlette.testclient import TestClient

from ossia.checkpoint import find
from ossia.server.app import make_app
from ossia.server.catalogue import Catalogue
from ossia.server.model_list import endpoints
from ossia.server.models import Listed
from ossia.server.service import Service
from ossia.server.settings import ServerConfig
from tests.cli.tiny import CONTEXT, write_tiny


class Loaded:
    """Takes the part of Models: `tiny` is loaded with a context of its own, `nano` is on its way."""

    default = "org/tiny"

    def listed(self) -> list[Listed]:
        served: Any = SimpleNamespace(tokens=SimpleNamespace(context=99))
        facts: dict[str, Any] = {"path": Path("/"), "users": 0, "expires": None}
        return [
            Listed(name="org/tiny", done=1.0, served=served, **facts),
            Listed(name="nano", done=0.5, served=None, **facts),
        ]


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    tiny = write_tiny(tmp_path / "tiny")
    here = Catalogue(lambda: {"org/tiny": tiny, "nano": find("nano"), "tiny-too": tiny})
    models: Any = Loaded()
    return TestClient(
        make_app(Service(config=ServerConfig(), models=models, catalogue=here), endpoints),
        base_url="http://localhost",
    )


def test_every_model_that_is_here_is_listed(client: TestClient):
    found = client.get("/v1/models").json()
    assert found["object"] == "list"
    models = [Model.model_validate(each) for each in found["data"]]
    assert [model.id for model in models] == ["org/tiny", "nano", "tiny-too"]
    assert all(model.created > 0 and model.object == "model" for model in models)


def test_of_a_loaded_model_the_context_is_the_one_in_effect(client: TestClient):
    cards = {card["id"]: card for card in client.get("/v1/models").json()["data"]}
    contexts = {name: (card["context_length"], card["max_model_len"], card["loaded"]) for name, card in cards.items()}
    assert contexts == {
        "org/tiny": (99, 99, True),
        "nano": (131_072, 131_072, False),
        "tiny-too": (CONTEXT, CONTEXT, False),
    }


def test_one_model_is_found_by_a_name_with_a_slash(client: TestClient):
    card = client.get("/v1/models/org/tiny").json()
    assert card == client.get("/v1/models").json()["data"][0]


@pytest.mark.parametrize("name", ["none", "org", "../secret", "%2e%2e/x"])
def test_an_unknown_name_is_refused_with_those_there_are(client: TestClient, name: str):
    answer = client.get(f"/v1/models/{name}")
    assert answer.status_code == 404
    if "x" not in name and "." not in name:
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("model_not_found", "model")
        assert "org/tiny, nano, tiny-too" in error["message"]

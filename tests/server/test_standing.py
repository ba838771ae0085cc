"""Health, readiness, numbers, the page."""

from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from ossia.server.app import make_app
from ossia.server.clients import Keys
from ossia.server.models import Listed
from ossia.server.remote import EngineStatus
from ossia.server.service import Service
from ossia.server.settings import ServerConfig
from ossia.server.standing import endpoints
from tests.server.door import ALICE

STATUS = EngineStatus(
    running=3,
    waiting=2,
    compiling=1,
    preemptions=4,
    pages={"full": 100, "sliding": 50},
    available_pages={"full": 60, "sliding": 45},
    kept_pages={"full": 30, "sliding": 5},
    steps=7,
    step_seconds=1.5,
    last_step=0.25,
    prompt_tokens=1000,
    cached_tokens=400,
    generated_tokens=77,
    silent_seconds=0.5,
)


class State:
    """Takes the part of Models, as far as it stands."""

    default = "<nano>"

    def __init__(self, done: float | None = None) -> None:
        self.ready = done == 1.0
        self._done = done

    def listed(self) -> list[Listed]:
        if self._done is None:
            return []
        return [Listed(name="<nano>", path=Path("/"), done=self._done, users=2, expires=None, served=None)]

    async def status(self) -> dict[str, EngineStatus]:
        return {'na"no': STATUS}


def client(state: Any, **config: Any) -> TestClient:
    service = Service(config=ServerConfig(**config), models=state)
    return TestClient(make_app(service, endpoints), base_url="http://localhost")


@pytest.mark.parametrize("done", [None, 0.25, 1.0])
def test_the_process_lives_whatever_is_loaded(done: float | None):
    answer = client(State(done)).get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("done", "status", "says"), [(None, 503, "not loaded"), (0.25, 503, "loading"), (1.0, 200, "ready")]
)
def test_it_is_ready_once_its_model_is_loaded(done: float | None, status: int, says: str):
    answer = client(State(done)).get("/ready")
    assert answer.status_code == status
    assert answer.json() == {"status": says, "model": "<nano>", "done": done or 0}


def test_the_page_says_what_this_is_and_runs_nothing():
    answer = client(State(0.25)).get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<code>&lt;nano&gt;</code>, which is being loaded (25%)" in answer.text
    assert "<script" not in answer.text


def test_these_are_open_and_the_numbers_are_not():
    with_keys = client(State(1.0), keys=Keys({"alice": ALICE}))
    assert [with_keys.get(path).status_code for path in ("/", "/health", "/ready")] == [200] * 3
    assert with_keys.get("/metrics").status_code == 401
    assert with_keys.get("/metrics", headers={"Authorization": f"Bearer {ALICE}"}).status_code == 200


def test_every_number_of_an_engine_is_exposed():
    answer = client(State(1.0)).get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    model = ("model", 'na"no')
    wanted = {
        "running_requests": 3,
        "waiting_requests": 2,
        "compiling_requests": 1,
        "preemptions_total": 4,
        "steps_total": 7,
        "step_seconds_total": 1.5,
        "last_step_seconds": 0.25,
        "prompt_tokens_total": 1000,
        "cached_tokens_total": 400,
        "generated_tokens_total": 77,
        "silent_seconds": 0.5,
    }
    assert {name: found[f"ossia_engine_{name}", model] for name in wanted} == wanted
    for kind, size, used, kept in (("full", 100, 40, 30), ("sliding", 50, 5, 5)):
        labels = (("kind", kind), model)
        assert [found[f"ossia_engine_{name}", *labels] for name in ("pages", "used_pages", "kept_pages")] == [
            size,
            used,
            kept,
        ]
    assert found["ossia_model_loaded", ("model", "<nano>")] == 1
    assert found["ossia_model_users", ("model", "<nano>")] == 2
    assert families["ossia_engine_steps"].type == "counter"
    assert families["ossia_engine_running_requests"].type == "gauge"


def test_requests_for_the_numbers_are_numbers_too():
    asked = client(State(1.0))
    asked.get("/health")
    assert 'ossia_http_requests_total{method="GET",route="/health",status="200"} 1' in asked.get("/metrics").text

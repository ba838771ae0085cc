"""How the server stands: whether it lives, whether it can answer, what it has counted, what it is.

/health    200 as long as the process answers at all
/ready     200 once the default model is loaded, 503 before
/metrics   Prometheus
/          a page for whoever opens the address in a browser
"""

import html
from collections.abc import Mapping

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ossia.server.endpoint import Endpoint
from ossia.server.metrics import CONTENT_TYPE, Counter, Gauge
from ossia.server.models import Models
from ossia.server.remote import EngineStatus
from ossia.server.service import service_of

__all__ = ["endpoints"]

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Ossia</title>
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem }}</style>
<h1>Ossia</h1>
<p>This is a server for OpenAI's gpt-oss models. It serves <code>{model}</code>, which is {state}.</p>
<p>It speaks OpenAI's API under <code>/v1</code>, Anthropic's at <code>/v1/messages</code> and Ollama's under
<code>/api</code>.</p>
<ul>
<li><a href="/v1/models">/v1/models</a>: the models that are here</li>
<li><a href="/openapi.json">/openapi.json</a>: everything there is, in a form for programs</li>
<li><a href="/health">/health</a>, <a href="/ready">/ready</a>, <a href="/metrics">/metrics</a>: how it stands</li>
</ul>
"""


class Health(Struct):
    """The process lives."""

    status: str = "ok"


class Readiness(Struct, kw_only=True):
    """Whether the default model is loaded; `done` says how much of it, from 0 to 1."""

    status: str
    model: str
    done: float


async def health(request: Request) -> Response:
    """The process lives."""
    return _json(Health())


async def ready(request: Request) -> Response:
    """Whether requests are answered at once."""
    state = readiness(service_of(request).models)
    return _json(state, 200 if state.status == "ready" else 503)


async def metrics(request: Request) -> Response:
    """All that is counted."""
    service = service_of(request)
    engines = _engine_metrics(await service.models.status())
    loaded = Gauge("ossia_model_loaded", "How much of a model is loaded, from 0 to 1.", "model")
    users = Gauge("ossia_model_users", "Requests that hold a model.", "model")
    for each in service.models.listed():
        loaded.set(each.done, each.name)
        users.set(each.users, each.name)
    return Response(service.metrics.text([loaded, users, *engines]), headers={"Content-Type": CONTENT_TYPE})


async def page(request: Request) -> Response:
    """What this is."""
    state = readiness(service_of(request).models)
    words = {"ready": "ready", "loading": f"being loaded ({state.done:.0%})"}.get(state.status, "not loaded")
    text = _PAGE.format(model=html.escape(state.model), state=words)
    return Response(text, media_type="text/html", headers={"Content-Security-Policy": _POLICY})


_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""The page runs nothing, loads nothing, and is shown within no other."""


def readiness(models: Models) -> Readiness:
    """Whether the default model is loaded."""
    if models.ready:
        return Readiness(status="ready", model=models.default, done=1.0)
    found = next((each for each in models.listed() if each.name == models.default), None)
    return Readiness(status="loading" if found else "not loaded", model=models.default, done=found.done if found else 0)


def _engine_metrics(statuses: Mapping[str, EngineStatus]) -> list[Counter]:
    made: list[Counter] = []
    for name, kind, text, field in _ENGINE:
        metric = kind(name, text, "model")
        for model, status in statuses.items():
            metric.set(getattr(status, field), model)
        made.append(metric)
    for name, text, field in _PAGES:
        metric = Gauge(name, text, "model", "kind")
        for model, status in statuses.items():
            for layers, count in getattr(status, field).items():
                metric.set(count, model, layers)
        made.append(metric)
    return made


class _Total(Gauge):
    """A counter that an engine keeps: it starts again when the model is loaded again, as Prometheus expects."""

    kind = "counter"


_ENGINE: tuple[tuple[str, type[Gauge], str, str], ...] = (
    ("ossia_engine_running_requests", Gauge, "Requests that are in the engine's steps.", "running"),
    ("ossia_engine_waiting_requests", Gauge, "Requests that wait for their first step.", "waiting"),
    ("ossia_engine_compiling_requests", Gauge, "Requests that wait for their grammar.", "compiling"),
    ("ossia_engine_silent_seconds", Gauge, "For how long the process has not answered.", "silent_seconds"),
    ("ossia_engine_last_step_seconds", Gauge, "How long the last step took.", "last_step"),
    ("ossia_engine_steps_total", _Total, "Steps since the model was loaded.", "steps"),
    ("ossia_engine_step_seconds_total", _Total, "Seconds of all steps.", "step_seconds"),
    ("ossia_engine_preemptions_total", _Total, "Requests whose pages were taken back for a while.", "preemptions"),
    ("ossia_engine_prompt_tokens_total", _Total, "Tokens of prompts, as they are admitted.", "prompt_tokens"),
    ("ossia_engine_cached_tokens_total", _Total, "Tokens of prompts that a cached prefix had.", "cached_tokens"),
    ("ossia_engine_generated_tokens_total", _Total, "Tokens generated, as they are drawn.", "generated_tokens"),
)

_PAGES: tuple[tuple[str, str, str], ...] = (
    ("ossia_engine_pages", "Pages of the cache, by kind of layer.", "pages"),
    ("ossia_engine_used_pages", "Pages that running requests hold.", "used_pages"),
    ("ossia_engine_kept_pages", "Pages that are kept for prefixes to come.", "kept_pages"),
)


def _json(data: Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(data), status, media_type="application/json")


endpoints = (
    Endpoint("GET", "/", page, "A page that says what this is.", answer="text/html", open=True),
    Endpoint("GET", "/health", health, "Whether the process lives.", answer=Health, open=True),
    Endpoint("GET", "/ready", ready, "Whether the default model is loaded.", answer=Readiness, open=True),
    Endpoint("GET", "/metrics", metrics, "All that is counted, as Prometheus reads it.", answer="text/plain"),
)

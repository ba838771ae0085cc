"""What models there are, which are loaded, fetching and removing them, as Ollama's clients ask.

Fetching and removing change this machine, so they are for a server that only this machine reaches.
"""

import asyncio
import hashlib
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ossia.checkpoint import Pulling, plan_removal, pull, remove
from ossia.config import FULL
from ossia.errors import CancelledError, CheckpointError, ModelNotFoundError
from ossia.loading import parameters
from ossia.server.catalogue import Entry, known_as
from ossia.server.endpoint import Endpoint
from ossia.server.faults import RefusedError
from ossia.server.models import Stopped
from ossia.server.service import Service, service_of
from ossia.server.settings import is_loopback
from ossia.server.streams import attend, line, ndjson

__all__ = ["VERSION", "endpoints"]

VERSION = "0.30.0"
"""The Ollama whose API this is: clients look at it to know what they may ask for (Codex wants 0.13.4 at least)."""

NEVER = datetime(9999, 12, 31, tzinfo=UTC)


class Named(Struct, kw_only=True):
    """The body of what is about one model: `model`, or `name` as older clients have it."""

    model: str | None = None
    name: str | None = None
    verbose: bool | None = None
    stream: bool | None = None
    insecure: bool | None = None


class Version(Struct):
    version: str


class Models(Struct):
    models: list[dict[str, Any]]


class Shown(Struct, kw_only=True):
    modelfile: str
    parameters: str
    template: str
    license: str
    details: dict[str, Any]
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: str


class Status(Struct, kw_only=True, omit_defaults=True):
    status: str
    digest: str | None = None
    total: int | None = None
    completed: int | None = None


async def version(request: Request) -> Response:
    """The version of the API."""
    return _json(Version(VERSION))


async def tags(request: Request) -> Response:
    """The models that a request may name."""
    entries = await asyncio.to_thread(service_of(request).catalogue.entries)
    return _json(Models([_listed(entry) for entry in entries]))


async def running(request: Request) -> Response:
    """The models that are loaded."""
    service = service_of(request)
    entries = {entry.path.absolute(): entry for entry in await asyncio.to_thread(service.catalogue.entries)}
    found: list[dict[str, Any]] = []
    for loaded in service.models.listed():
        entry = entries.get(loaded.path.absolute())
        if entry is None:
            continue
        expires = NEVER if loaded.expires is None else datetime.fromtimestamp(loaded.expires, UTC)
        context = loaded.served.tokens.context if loaded.served else 0
        state = {"expires_at": _time(expires), "size_vram": 0, "context_length": context, "loaded": loaded.done}
        found.append({**_listed(entry), "name": loaded.name, "model": loaded.name, **state})
    return _json(Models(found))


async def show(request: Request, body: Named) -> Response:
    """What one model is."""
    entry = await _entry(service_of(request), _name(body))
    config = entry.config
    return _json(
        Shown(
            modelfile=f"FROM {entry.name}",
            parameters="",
            template="{{ .Prompt }}",
            license="",
            details=_details(entry),
            model_info={
                "general.architecture": "gptoss",
                "general.parameter_count": parameters(config),
                "gptoss.context_length": config.max_position_embeddings,
                "gptoss.block_count": config.num_hidden_layers,
                "gptoss.embedding_length": config.hidden_size,
                "gptoss.expert_count": config.num_local_experts,
                "gptoss.expert_used_count": config.num_experts_per_tok,
                "gptoss.attention.head_count": config.num_attention_heads,
                "gptoss.attention.head_count_kv": config.num_key_value_heads,
                "gptoss.attention.sliding_window": config.sliding_window,
                "gptoss.full_layers": config.layer_types.count(FULL),
                "gptoss.vocab_size": config.vocab_size,
            },
            capabilities=["completion", "tools", "thinking"],
            modified_at=_time(datetime.fromtimestamp(entry.created, UTC)),
        )
    )


async def fetch(request: Request, body: Named) -> Response:
    """Fetch a model, telling how far it is."""
    _for_this_machine(service_of(request), "pulling", "pull")
    if body.insecure:
        raise RefusedError("insecure is not supported; a registry that is reached safely is right", param="insecure")
    name = _name(body)
    here = known_as(name, await _by_name(service_of(request))) is not None
    steps = _already() if here else _pulled(name)
    if body.stream is not False:
        return await ndjson(request, steps)
    return await attend(request, _pulled_whole(steps))


async def delete(request: Request, body: Named) -> Response:
    """Remove a model that Ossia has fetched."""
    _for_this_machine(service_of(request), "deleting", "rm")
    given = _name(body)
    name = known_as(given, await _by_name(service_of(request))) or given
    try:
        removal = await asyncio.to_thread(plan_removal, name)
        if await _stopped(service_of(request), name) == "kept":
            raise RefusedError(
                f"the server was started with {name!r:.80}; `ossia rm` when it has ended is right", status=403
            )
        await asyncio.to_thread(remove, removal)
    except ModelNotFoundError as error:
        raise RefusedError(str(error), status=404, param="model", code="model_not_found") from error
    except CheckpointError as error:
        raise RefusedError(str(error), status=403, param="model") from error
    return Response(b"", 200)


async def _stopped(service: Service, name: str) -> Stopped:
    try:
        return await service.models.stop(name)
    except RefusedError:
        return "unloaded"  # what cannot be run is never loaded


async def _pulled_whole(steps: AsyncGenerator[bytes, None]) -> Response:
    async with aclosing(steps) as found:
        async for _ in found:
            pass
    return _json(Status(status="success"))


async def _already() -> AsyncGenerator[bytes, None]:
    """The steps of fetching what is here."""
    yield line(Status(status="success"))


async def _pulled(name: str) -> AsyncGenerator[bytes, None]:
    """The steps of fetching, in a thread; left early, it stops and keeps what has come."""
    loop, steps = asyncio.get_running_loop(), asyncio.Queue[Pulling | None]()
    stop = threading.Event()

    def tell(step: Pulling | None) -> None:
        loop.call_soon_threadsafe(steps.put_nowait, step)

    def work() -> None:
        try:
            pull(name, tell, stop.is_set, anywhere=False)
        except CancelledError:
            pass
        finally:
            tell(None)

    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        while (step := await steps.get()) is not None:
            told = {key: value for key, value in asdict(step).items() if not key.startswith("model_")}
            yield line(Status(**told))
        await task
    finally:
        stop.set()


async def refuse_embeddings(request: Request) -> Response:
    """These models have no embeddings."""
    raise RefusedError("these models write text; they do not support embeddings", status=501, code="unsupported")


async def refuse_making(request: Request) -> Response:
    """Models are not made, copied or pushed here."""
    raise RefusedError(
        "models are made and copied with `ossia convert`, not over HTTP, and pushed nowhere",
        status=501,
        code="unsupported",
    )


def _for_this_machine(service: Service, what: str, verb: str) -> None:
    if not is_loopback(service.config.host):
        raise RefusedError(
            f"{what} is for a server that only its own machine reaches; `ossia {verb} NAME` there is right", status=403
        )


def _name(body: Named) -> str:
    name = body.model or body.name
    if not name:
        raise RefusedError("the field 'model' is missing", param="model", code="missing_field")
    return name


async def _entry(service: Service, name: str) -> Entry:
    entries = await _by_name(service)
    if (known := known_as(name, entries)) is not None:
        return entries[known]
    raise RefusedError(
        f"model {name!r:.200} not found; there are: {', '.join(entries)}",
        status=404,
        param="model",
        code="model_not_found",
    )


async def _by_name(service: Service) -> dict[str, Entry]:
    return {entry.name: entry for entry in await asyncio.to_thread(service.catalogue.entries)}


def _listed(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "model": entry.name,
        "modified_at": _time(datetime.fromtimestamp(entry.created, UTC)),
        "size": entry.bytes,
        "digest": _digest(entry),
        "details": _details(entry),
    }


def _details(entry: Entry) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "gguf" if entry.layout in ("gguf", "ollama") else "safetensors",
        "family": "gptoss",
        "families": ["gptoss"],
        "parameter_size": _size(parameters(entry.config)),
        "quantization_level": entry.experts.upper(),
    }


def _size(count: int) -> str:
    """A number of parameters as Ollama writes it.

    >>> _size(20_914_757_184), _size(2_800_000)
    ('20.9B', '2.8M')
    """
    return f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.1f}M"


def _digest(entry: Entry) -> str:
    """Something that changes with the model; the files themselves are too large to be read for it."""
    return hashlib.sha256(f"{entry.path}\0{entry.bytes}\0{entry.created}".encode()).hexdigest()


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _json(body: Struct) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


endpoints = (
    Endpoint("GET", "/api/version", version, "The version of Ollama's API.", answer=Version),
    Endpoint("GET", "/api/tags", tags, "The models that a request may name.", answer=Models),
    Endpoint("GET", "/api/ps", running, "The models that are loaded.", answer=Models),
    Endpoint("POST", "/api/show", show, "What one model is.", body=Named, answer=Shown),
    Endpoint(
        "POST",
        "/api/pull",
        fetch,
        "Fetch a model.",
        body=Named,
        answer=Status,
        events=Status,
        stream="application/x-ndjson",
    ),
    Endpoint("DELETE", "/api/delete", delete, "Remove a model.", body=Named),
    *(
        Endpoint("POST", path, refuse_embeddings, "Refused: these models have no embeddings.")
        for path in ("/api/embed", "/api/embeddings", "/v1/embeddings")
    ),
    *(
        Endpoint("POST", path, refuse_making, "Refused: models are not made over HTTP.")
        for path in ("/api/create", "/api/copy", "/api/push")
    ),
)

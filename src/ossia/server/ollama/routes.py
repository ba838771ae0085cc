"""POST /api/chat and /api/generate."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ossia.server.ask import Ask
from ossia.server.completions.request import Wish
from ossia.server.completions.writing import Piece, written
from ossia.server.endpoint import Endpoint
from ossia.server.exchange import Planned, exchange
from ossia.server.faults import RefusedError
from ossia.server.models import Stopped
from ossia.server.ollama.options import PATHS, keep_alive_of
from ossia.server.ollama.reply import DONE_REASON, NANOSECONDS, Lines, now, together
from ossia.server.ollama.request import ChatRequest, GenerateRequest, ask_of_chat, ask_of_generate, sampling, unheeded
from ossia.server.service import client_of, service_of
from ossia.server.streams import attend, line, ndjson

__all__ = ["endpoints"]

KEPT: dict[Stopped, str] = {
    "kept": "it stays loaded: the server was started with it, and keep_alive is for other models",
    "in use": "requests of others still use it; it is unloaded after them",
}

Line = dict[str, Any]
Body = ChatRequest | GenerateRequest


async def chat(request: Request, body: ChatRequest) -> Response:
    """Answer a conversation; without messages, load or unload the model."""
    if not body.messages:
        return await _loaded(request, body)
    ask = ask_of_chat(body)
    return await _answered(request, body, _lines(request, body, ask, chat=True))


async def generate(request: Request, body: GenerateRequest) -> Response:
    """Answer a prompt; without one, load or unload the model."""
    if not body.prompt:
        return await _loaded(request, body)
    if body.raw:
        return await _answered(request, body, _raw(request, body))
    return await _answered(request, body, _lines(request, body, ask_of_generate(body), chat=False))


async def _answered(request: Request, body: Body, lines: AsyncGenerator[Line, None]) -> Response:
    if body.stream is not False:
        return await ndjson(request, _sent(lines))
    return await attend(request, _whole(lines))


async def _sent(lines: AsyncGenerator[Line, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(lines) as found:
        async for each in found:
            yield line(each)


async def _whole(lines: AsyncGenerator[Line, None]) -> Response:
    async with aclosing(lines) as found:
        return _json(together([each async for each in found]))


async def _lines(request: Request, body: Body, ask: Ask, *, chat: bool) -> AsyncGenerator[Line, None]:
    keep_alive = keep_alive_of(body.keep_alive)
    async with aclosing(exchange(request, body.model, ask, keep_alive=keep_alive)) as events:
        translated: Lines | None = None
        async for _, event in events:
            if isinstance(event, Planned):
                _check_context(body, event.served.tokens.context)
                translated = Lines(event.served.vocabulary, chat, bool(body.logprobs))
                continue
            assert translated is not None
            for part in translated.of(event):
                if part.get("done"):
                    part["ossia"] |= await _kept(request, body)
                yield {"model": body.model, "created_at": now(), "done": False, **part}


async def _raw(request: Request, body: GenerateRequest) -> AsyncGenerator[Line, None]:
    """What follows a raw prompt, nothing rendered and nothing parsed."""
    for name in ("system", "format", "grammar", "think", "suffix", "template", "context", "images"):
        if getattr(body, name):
            raise RefusedError(f"{name} has no meaning for a raw prompt; without it is right", param=name)
    wanted, stops = sampling(body)
    limit, seed = wanted.pop("max_tokens", None), wanted.pop("seed", None)
    async with _leased(request, body) as served:
        prompt = tuple(served.vocabulary.encode_raw(body.prompt or ""))
        most = served.tokens.context - len(prompt)
        wish = Wish(
            sampling=wanted,
            max_tokens=max(1, most) if limit is None else limit,
            stop=stops,
            echo=False,
            n=1,
            paths=PATHS,
        )
        service = service_of(request)
        pieces = written(
            served,
            prompt,
            wish,
            seed=seed,
            salt=client_of(request).salt,
            most_seconds=service.config.limits.turn_seconds,
        )
        async with aclosing(pieces) as found:
            async for piece in found:
                head = {"model": body.model, "created_at": now()}
                if isinstance(piece, Piece):
                    yield {**head, "response": piece.text, "done": False}
                    continue
                service.metrics.count_turn(served.name, piece.turn, piece.first_token_seconds, piece.seconds)
                end = _raw_end(piece)
                told = {"context": served.tokens.context, "passed_over": unheeded(body)} | await _kept(request, body)
                yield {**head, "response": "", "done": True, **end, "ossia": end["ossia"] | told}


def _raw_end(end: Any) -> Line:
    first = end.first_token_seconds or 0.0
    return {
        "done_reason": DONE_REASON[end.finish],
        "total_duration": round(end.seconds * NANOSECONDS),
        "load_duration": 0,
        "prompt_eval_count": end.usage.prompt_tokens,
        "prompt_eval_duration": round(first * NANOSECONDS),
        "eval_count": end.usage.generated_tokens,
        "eval_duration": round((end.seconds - first) * NANOSECONDS),
        "ossia": {
            "finish": end.finish,
            "seed": end.seed,
            "stopped_by": end.stopped_by,
            "failure": end.failure,
        },
    }


async def _loaded(request: Request, body: Body) -> Response:
    """Load the model, or unload it where it is to be kept for no time; what is not unloaded is said to be loaded."""
    told: Line = {"done_reason": "load"}
    if keep_alive_of(body.keep_alive) == 0:
        came = await service_of(request).models.stop(body.model)
        told = {"done_reason": "load" if came == "kept" else "unload"}
        told |= {"ossia": {"kept": KEPT[came]}} if came in KEPT else {}
    else:
        async with _leased(request, body):
            pass
        told |= {"ossia": kept} if (kept := await _kept(request, body)) else {}
    said = {"message": {"role": "assistant", "content": ""}} if isinstance(body, ChatRequest) else {"response": ""}
    done = {"model": body.model, "created_at": now(), **said, "done": True, **told}
    return _json(done) if body.stream is False else Response(line(done), media_type="application/x-ndjson")


async def _kept(request: Request, body: Body) -> dict[str, str]:
    """What is said of a model that stays longer than was asked for."""
    seconds = keep_alive_of(body.keep_alive)
    bounded = seconds is not None and seconds >= 0
    return {"kept": KEPT["kept"]} if bounded and await service_of(request).models.is_default(body.model) else {}


@asynccontextmanager
async def _leased(request: Request, body: Body) -> AsyncIterator[Any]:
    models = service_of(request).models
    async with models.lease(body.model, keep_alive=keep_alive_of(body.keep_alive)) as served:
        yield served


def _check_context(body: Body, context: int) -> None:
    asked = (body.options or {}).get("num_ctx")
    if isinstance(asked, int) and asked > context:
        raise RefusedError(
            f"options.num_ctx is {asked}; the context holds {context} here, so at most that is right",
            param="options.num_ctx",
        )


def _json(body: Line) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


class _Line(msgspec.Struct, kw_only=True):
    """What all lines have; the last one has `done`, and what it took."""

    model: str
    created_at: str
    done: bool
    done_reason: str | None = None
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None
    logprobs: list[dict[str, Any]] | None = None
    ossia: dict[str, Any] | None = None


class ChatLine(_Line, kw_only=True):
    """A line of an answer to a conversation."""

    message: dict[str, Any]


class GenerateLine(_Line, kw_only=True):
    """A line of an answer to a prompt."""

    response: str
    thinking: str | None = None


def _endpoint(path: str, run: Any, summary: str, body: Any, answer: Any) -> Endpoint:
    return Endpoint("POST", path, run, summary, body=body, answer=answer, events=answer, stream="application/x-ndjson")


endpoints = (
    _endpoint("/api/chat", chat, "Answer a conversation, as Ollama does.", ChatRequest, ChatLine),
    _endpoint("/api/generate", generate, "Answer a prompt, as Ollama does.", GenerateRequest, GenerateLine),
)

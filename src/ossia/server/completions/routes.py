"""POST /v1/completions."""

import secrets
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from ossia.server.completions.request import CompletionRequest, Wish, prompts_of, wish_of
from ossia.server.completions.writing import Piece, Written, written
from ossia.server.endpoint import Endpoint
from ossia.server.exchange import FINISH
from ossia.server.merging import merged
from ossia.server.models import Served
from ossia.server.service import Service, client_of, service_of
from ossia.server.streams import DONE, attend, event, sse

__all__ = ["endpoints"]


class Choice(Struct, kw_only=True):
    """One answer, or a part of it. `token_ids` are those of the text, which need not be whole characters each."""

    index: int
    text: str
    token_ids: list[int]
    logprobs: dict[str, list[Any]] | None
    finish_reason: str | None


class TextCompletion(Struct, kw_only=True):
    """All answers, or, in a stream, a part of one."""

    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: dict[str, Any] | UnsetType | None = UNSET
    ossia: dict[str, Any] | UnsetType = UNSET


async def create(request: Request, body: CompletionRequest) -> Response:
    """Go on from a prompt."""
    wish = wish_of(body)
    if body.stream:
        return await sse(request, _chunks(request, body, wish))
    return await attend(request, _whole(request, body, wish))


async def _whole(request: Request, body: CompletionRequest, wish: Wish) -> Response:
    parts: dict[int, list[Piece]] = {}
    ends: dict[int, Written] = {}
    async with aclosing(_events(request, body, wish)) as events:
        async for index, happened in events:
            if isinstance(happened, Written):
                ends[index] = happened
            else:
                parts.setdefault(index, []).append(happened)
    choices = [_choice(index, parts.get(index, []), wish, FINISH[ends[index].finish]) for index in sorted(ends)]
    answer = TextCompletion(
        id=_id(),
        object="text_completion",
        created=int(time.time()),
        model=body.model,
        choices=choices,
        usage=_usage(ends, wish),
        ossia=_told(ends),
    )
    return Response(msgspec.json.encode(answer), media_type="application/json")


async def _chunks(request: Request, body: CompletionRequest, wish: Wish) -> AsyncGenerator[bytes, None]:
    ends: dict[int, Written] = {}
    usage = bool(body.stream_options and body.stream_options.include_usage)
    head: dict[str, Any] = {"id": _id(), "object": "text_completion", "created": int(time.time()), "model": body.model}
    if usage:
        head["usage"] = None
    async with aclosing(_events(request, body, wish)) as events:
        async for index, happened in events:
            if isinstance(happened, Piece):
                yield event(TextCompletion(**head, choices=[_choice(index, [happened], wish, None)]))
                continue
            ends[index] = happened
            last = _choice(index, [], wish, FINISH[happened.finish])
            yield event(TextCompletion(**head, choices=[last], ossia=_told({index: happened})))
    if usage:
        head["usage"] = _usage(ends, wish)
        yield event(TextCompletion(**head, choices=[]))
    yield DONE


async def _events(
    request: Request, body: CompletionRequest, wish: Wish
) -> AsyncGenerator[tuple[int, Piece | Written], None]:
    """The pieces of all answers as they come, each with its answer's index."""
    service = service_of(request)
    async with service.models.lease(body.model) as served:
        prompts = prompts_of(body, served.vocabulary, served.config.vocab_size)
        streams = [
            _answer(request, service, served, prompt, wish, body.seed, copy)
            for prompt in prompts
            for copy in range(wish.n)
        ]
        async with aclosing(merged(streams)) as pieces:
            async for index, piece in pieces:
                if isinstance(piece, Written):
                    service.metrics.count_turn(served.name, piece.turn, piece.first_token_seconds, piece.seconds)
                yield index, piece


def _answer(
    request: Request, service: Service, served: Served, prompt: tuple[int, ...], wish: Wish, seed: int | None, copy: int
) -> AsyncGenerator[Piece | Written, None]:
    return written(
        served,
        prompt,
        wish,
        seed=None if seed is None else (seed + copy) % 2**64,
        salt=client_of(request).salt,
        most_seconds=service.config.limits.turn_seconds,
    )


def _choice(index: int, pieces: Iterable[Piece], wish: Wish, finish: str | None) -> Choice:
    pieces = list(pieces)
    return Choice(
        index=index,
        text="".join(piece.text for piece in pieces),
        token_ids=[token.id for piece in pieces for token in piece.tokens],
        logprobs=_logprobs(pieces) if wish.scores else None,
        finish_reason=finish,
    )


def _logprobs(pieces: Iterable[Piece]) -> dict[str, list[Any]]:
    """Source: OpenAI's API reference, "The completion object". The first token of an echo has no log-probability."""
    tokens = [token for piece in pieces for token in piece.tokens]
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [token.top for token in tokens],
        "text_offset": [token.start for token in tokens],
    }


def _usage(ends: dict[int, Written], wish: Wish) -> dict[str, Any]:
    """The tokens of all answers; a prompt counts once however many answers it has."""
    usages = [ends[index].usage for index in sorted(ends)]
    prompt = sum(usage.prompt_tokens for usage in usages[:: wish.n])
    generated = sum(usage.generated_tokens for usage in usages)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "prompt_tokens_details": {"cached_tokens": sum(usage.cached_tokens for usage in usages[:: wish.n])},
    }


def _told(ends: dict[int, Written]) -> dict[str, Any]:
    """What the answers' ends were exactly."""
    return {
        "finish": [end.finish for _, end in sorted(ends.items())],
        "seeds": [end.seed for _, end in sorted(ends.items())],
        "stopped_by": [end.stopped_by for _, end in sorted(ends.items())],
        "failures": [end.failure for _, end in sorted(ends.items())],
    }


def _id() -> str:
    return f"cmpl-{secrets.token_hex(16)}"


endpoints = (
    Endpoint(
        "POST",
        "/v1/completions",
        create,
        "Go on from a raw prompt, as OpenAI's Completions does.",
        body=CompletionRequest,
        answer=TextCompletion,
        events=TextCompletion,
    ),
)

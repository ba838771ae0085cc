"""Text to tokens and back, and a conversation as the tokens that the model would read."""

import asyncio

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ossia.server.chat.request import ChatRequest, ask_of
from ossia.server.endpoint import Endpoint
from ossia.server.faults import RefusedError
from ossia.server.planning import planned
from ossia.server.service import client_of, service_of

__all__ = ["endpoints"]


class TokenizeRequest(Struct, forbid_unknown_fields=True):
    """`raw`: control tokens by their names are control tokens, as in a raw prompt; else all of it is text."""

    model: str
    text: str
    raw: bool = False


class Tokenized(Struct):
    """The ids of a text, or of a conversation, and what each of them stands for."""

    tokens: list[int]
    count: int
    pieces: list[str]


class DetokenizeRequest(Struct, forbid_unknown_fields=True):
    """Token ids."""

    model: str
    tokens: list[int]


class Detokenized(Struct):
    """The text of ids, control tokens by their names."""

    text: str


class Rendered(Struct):
    """The prompt that a request would have, as text with control tokens by their names, and as ids."""

    text: str
    tokens: list[int]
    count: int
    settings: dict[str, object]


async def tokenize(request: Request, body: TokenizeRequest) -> Response:
    """The tokens of a text."""
    async with service_of(request).models.lease(body.model) as served:
        encode = served.vocabulary.encode_raw if body.raw else served.vocabulary.encode
        tokens = await asyncio.to_thread(encode, body.text)
        return _json(Tokenized(tokens, len(tokens), [served.vocabulary.decode([token]) for token in tokens]))


async def detokenize(request: Request, body: DetokenizeRequest) -> Response:
    """The text of tokens."""
    async with service_of(request).models.lease(body.model) as served:
        for place, token in enumerate(body.tokens):
            if token not in served.vocabulary:
                right = f"ids from 0 to {served.vocabulary.size - 1} that are tokens are right"
                raise RefusedError(f"token {place} is {token}; {right}", param=f"tokens[{place}]")
        return _json(Detokenized(served.vocabulary.decode(body.tokens)))


async def render(request: Request, body: ChatRequest) -> Response:
    """The prompt of a request to Chat Completions, without answering it."""
    service = service_of(request)
    async with service.models.lease(body.model) as served:
        made = await planned(ask_of(body), served, service, client_of(request).salt)
        tokens = list(made.prompt)
        text = served.vocabulary.decode(tokens)
        return _json(Rendered(text, tokens, len(tokens), dict(made.settings)))


def _json(body: Struct) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


endpoints = (
    Endpoint("POST", "/tokenize", tokenize, "The tokens of a text.", body=TokenizeRequest, answer=Tokenized),
    Endpoint("POST", "/detokenize", detokenize, "The text of tokens.", body=DetokenizeRequest, answer=Detokenized),
    Endpoint(
        "POST", "/render", render, "The prompt that a chat request would have.", body=ChatRequest, answer=Rendered
    ),
)

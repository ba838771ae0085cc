"""What a client of Completions sends.

Source: OpenAI's API reference, "Create completion". `top_k`, `min_p`, `stop_token_ids` and `ignore_eos` are extensions
that others have made common.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from ossia.harmony import Vocabulary
from ossia.server.faults import RefusedError
from ossia.server.sampling import StreamOptions, biases, check_streaming, plain, stop_strings

__all__ = ["CompletionRequest", "Wish", "prompts_of", "wish_of"]

MOST_ANSWERS = 128
"""Prompts, times n."""

USUAL_TOKENS = 16
"""Source: OpenAI's API reference, the default of `max_tokens`."""


class CompletionRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/completions."""

    model: str
    prompt: str | list[str | int | list[int]]
    max_tokens: int | None = None
    n: int | None = None
    best_of: int | None = None
    echo: bool | None = None
    logprobs: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    suffix: str | None = None
    user: str | None = None  # changes nothing


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What all answers to a request have in common. `max_tokens` 0 only scores the prompt.

    `paths` are the request's own fields, by their names in `sampling` where they differ.
    """

    sampling: dict[str, Any]
    max_tokens: int
    stop: tuple[str, ...]
    echo: bool
    n: int
    paths: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def scores(self) -> bool:
        """Whether tokens are wanted with their log-probabilities."""
        return "logprobs" in self.sampling


def wish_of(body: CompletionRequest) -> Wish:
    """What is asked for. Raises RefusedError, with the field at fault, for what cannot be honoured."""
    n = 1 if body.n is None else body.n
    _check(body, n)
    check_streaming(body.stream, body.stream_options)
    sampling = plain(body)
    if body.logprobs is not None:
        sampling["logprobs"] = body.logprobs
    if body.logit_bias:
        sampling["logit_bias"] = biases(body.logit_bias)
    if body.ignore_eos or body.stop_token_ids is not None:
        sampling["stop_tokens"] = tuple(body.stop_token_ids or ())
    return Wish(
        sampling=sampling,
        max_tokens=USUAL_TOKENS if body.max_tokens is None else body.max_tokens,
        stop=stop_strings(body.stop),
        echo=bool(body.echo),
        n=n,
        paths={"stop_tokens": "stop_token_ids"},
    )


def prompts_of(body: CompletionRequest, vocabulary: Vocabulary, rows: int) -> list[tuple[int, ...]]:
    """The prompts as token ids, of which the model has so many `rows`.

    Raises RefusedError for a prompt that is empty or mixed, or has what is no token, and for too many.
    """
    given = body.prompt
    if not given:
        empty = json.dumps(given)
        raise RefusedError(f"prompt is {empty}; a text, or at least one token id, is right", param="prompt")
    whole = isinstance(given, str) or all(isinstance(part, int) for part in given)
    prompts = [
        _ids(each, vocabulary, rows, f"prompt[{place}]") for place, each in enumerate([given] if whole else given)
    ]
    if not prompts or len(prompts) * (body.n or 1) > MOST_ANSWERS:
        found = f"{len(prompts)} prompts, {body.n or 1} answers each"
        raise RefusedError(f"{found}; 1 to {MOST_ANSWERS} answers in all are right", param="prompt")
    return prompts


def _ids(prompt: Any, vocabulary: Vocabulary, rows: int, path: str) -> tuple[int, ...]:
    if isinstance(prompt, str):
        prompt = vocabulary.encode_raw(prompt)
    if not isinstance(prompt, list) or not prompt:
        raise RefusedError(f"{path} is empty or mixed; a text, or at least one token id, is right", param="prompt")
    if wrong := next((token for token in prompt if not 0 <= token < rows), None):
        raise RefusedError(f"{path} has {wrong}, which is no token; ids from 0 to {rows - 1} are right", param="prompt")
    return tuple(prompt)


def _check(body: CompletionRequest, n: int) -> None:
    if body.suffix is not None:
        raise RefusedError(
            "suffix is not supported: these models were not trained to fill gaps", param="suffix", code="unsupported"
        )
    if n < 1:
        raise RefusedError(f"n is {n}; at least 1 is right", param="n")
    if body.best_of not in (None, n):
        raise RefusedError(f"best_of is {body.best_of}; n, {n}, is right: all are returned", param="best_of")
    if body.max_tokens is not None and body.max_tokens < (0 if body.echo else 1):
        right = "from 0 on with echo, else from 1 on"
        raise RefusedError(f"max_tokens is {body.max_tokens}; {right} is right", param="max_tokens")

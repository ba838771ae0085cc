"""What the operator wants, `EngineConfig`, and what the caller of one request wants, `SamplingParams`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self, cast

from ossia.config import ModelConfig
from ossia.errors import ConfigError, OssiaError, RequestError

__all__ = ["EngineConfig", "SamplingParams"]

LEAST_TEMPERATURE = 1e-6
"""At this one, logits 3e-5 apart are told apart for certain (noises differ by less than 26): 0 says that plainly."""

LARGEST_PENALTY = 100.0
"""Far beyond the spread of any logits; the API that these come from has 2."""

BIASES = (-1e6, 1e6)
"""Finite biases: beyond any logit, and still far from what float32 cannot tell apart from infinity."""

SHARED_TOKENS = 65_536
"""Tokens that the full layers hold for all requests together unless told: 1.5 GiB at 20b in bfloat16."""


MOST_GUESSES = 64
"""Of tokens at once: more would not be right together, and each takes a place in a step."""


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """The operator's settings. Raises ConfigError for a value that cannot be right; the message names the key.

    `context` is the most tokens that one request may have, prompt and answer together; None means all that the model
    was made for. `max_step_tokens` bounds a step: requests that generate are always in it, and the rest of it goes to
    chunks of prompts. Where somebody generates, these are made so small that a step takes about `step_seconds`; None
    leaves them as they are.

    `max_waiting` requests, and `max_waiting_per_client` of one client, may wait beside those that run; None is any.

    `boundary_tokens` are the control tokens after which a conversation is likely to be cut (in Harmony the end of a
    message): there the sliding layers' pages are kept, so that another prompt can go on from it. `stop_tokens` end a
    request that brings none of its own. Both are ids; the engine knows no text.

    `guesses` is how many tokens may be guessed at once from a request's own text (`ossia.engine.lookup`), for requests
    that bring no drafter of their own; 0 guesses nothing. Where the backend is batch invariant, answers are the same
    with any number.

    `full_pages` and `sliding_pages` size the cache; None derives them, see `ossia.engine.memory`. With `cache_bytes`,
    the sliding layers get what is derived, and the full layers the rest.
    """

    context: int | None = None
    max_requests: int = 16
    max_step_tokens: int = 512
    step_seconds: float | None = 1.0
    max_waiting: int | None = None
    max_waiting_per_client: int | None = None
    guesses: int = 0
    page_size: int = 16
    full_pages: int | None = None
    sliding_pages: int | None = None
    cache_bytes: int | None = None
    snapshots: int = 32
    boundary_tokens: tuple[int, ...] = ()
    stop_tokens: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for key in ("max_requests", "max_step_tokens", "page_size"):
            _whole(ConfigError, key, getattr(self, key), least=1)
        for key in ("context", "full_pages", "sliding_pages", "cache_bytes"):
            if getattr(self, key) is not None:
                _whole(ConfigError, key, getattr(self, key), least=1)
        for key in ("max_waiting", "max_waiting_per_client"):
            if getattr(self, key) is not None:
                _whole(ConfigError, key, getattr(self, key), least=0)
        _whole(ConfigError, "snapshots", self.snapshots, least=0)
        _whole(ConfigError, "guesses", self.guesses, least=0, most=MOST_GUESSES)
        if self.step_seconds is not None:
            _check_seconds("step_seconds", self.step_seconds)
        for key in ("boundary_tokens", "stop_tokens"):
            object.__setattr__(self, key, _tokens(ConfigError, key, getattr(self, key)))
        if self.max_step_tokens < self.max_requests:
            raise ConfigError(
                f"max_step_tokens is {self.max_step_tokens}, but each of max_requests, {self.max_requests}, "
                f"may generate a token in every step; at least {self.max_requests} is right"
            )
        if self.cache_bytes is not None and self.full_pages is not None:
            raise ConfigError("both cache_bytes and full_pages are given; the one follows from the other, so give one")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Settings by name. Raises ConfigError for a name that is not one, with the list of those that are."""
        _known(ConfigError, cls, data)
        return cls(**data)

    def check_tokens(self, model: ModelConfig) -> None:
        """Raise ConfigError for a control token that is not in the model's vocabulary."""
        for key in ("boundary_tokens", "stop_tokens"):
            for token in getattr(self, key):
                if token >= model.vocab_size:
                    raise ConfigError(f"{key} has {token}, but ids end at {model.vocab_size - 1}")

    def context_of(self, model: ModelConfig) -> int:
        """The most tokens that one request may have. Raises ConfigError when the model was not made for so many."""
        most = model.max_position_embeddings
        if self.context is not None and self.context > most:
            raise ConfigError(
                f"context is {self.context}; the model was made for {most} tokens, so at most that is right"
            )
        return self.context or most


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How one request is to be sampled. Raises RequestError for a value that cannot be right.

    `temperature` 0 is greedy. `seed` None draws one at random, which every output reports. `max_tokens` None means as
    many as the context leaves. `stop_tokens` None means the engine's, and () none at all; a stop token is the last of
    the output. `logprobs` None asks for none, 0 for the drawn tokens' own, n also for the n most likely.
    `logit_bias` is added to the logits, -inf forbids a token. The penalties are subtracted from the logit of each token
    that this request has generated: `frequency_penalty` once per occurrence, `presence_penalty` once.

    Source of the penalties: OpenAI's API reference, "frequency and presence penalties".
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    max_tokens: int | None = None
    stop_tokens: tuple[int, ...] | None = None
    logprobs: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict[int, float])
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0

    def __post_init__(self) -> None:
        temperature = _number("temperature", self.temperature, 0.0, 100.0)
        if 0.0 < temperature < LEAST_TEMPERATURE:
            raise RequestError(
                f"temperature is {temperature}; 0, or from {LEAST_TEMPERATURE} to 100, is right", param="temperature"
            )
        if _number("top_p", self.top_p, 0.0, 1.0) == 0.0:
            raise RequestError("top_p is 0, which leaves no token; more than 0 and at most 1 is right", param="top_p")
        _number("min_p", self.min_p, 0.0, 1.0)
        _number("frequency_penalty", self.frequency_penalty, -LARGEST_PENALTY, LARGEST_PENALTY)
        _number("presence_penalty", self.presence_penalty, -LARGEST_PENALTY, LARGEST_PENALTY)
        _whole(RequestError, "top_k", self.top_k, least=0, most=2**31 - 1)
        for key, least, most in (("seed", 0, 2**64 - 1), ("max_tokens", 1, 2**31 - 1), ("logprobs", 0, 2**31 - 1)):
            if getattr(self, key) is not None:
                _whole(RequestError, key, getattr(self, key), least=least, most=most)
        if self.stop_tokens is not None:
            object.__setattr__(self, "stop_tokens", _tokens(RequestError, "stop_tokens", self.stop_tokens))
        object.__setattr__(self, "logit_bias", _biases(self.logit_bias))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Parameters by name. Raises RequestError for a name that is not one, with the list of those that are."""
        _known(RequestError, cls, data)
        return cls(**data)

    @property
    def penalised(self) -> bool:
        """Whether what was generated changes what is drawn."""
        return self.frequency_penalty != 0.0 or self.presence_penalty != 0.0


def _known(error: type[OssiaError], cls: type[Any], data: Mapping[str, Any]) -> None:
    known = sorted(field.name for field in fields(cls))
    if unknown := sorted(map(repr, set(data) - set(known))):
        raise error(f"unknown keys {', '.join(unknown)}; known: {', '.join(known)}")


def _whole(
    error: type[OssiaError], key: str, value: object, least: int, most: int | None = None, *, what: str | None = None
) -> int:
    """The value, if it is a whole number within bounds; `what` is it in words, where it is not all of the key's."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        right = f"an integer of at least {least}" if most is None else f"an integer from {least} to {most}"
        raise _wrong(error, key, f"{what or key} is {value!r:.80}; {right} is right")
    return value


def _number(key: str, value: object, least: float, most: float, *, what: str | None = None) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        found = f"{what or key} is {value!r:.80}"
        raise RequestError(f"{found}; a number from {least:g} to {most:g} is right", param=key)
    return float(value)


def _check_seconds(key: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < math.inf:
        raise ConfigError(f"{key} is {value!r:.80}; a number of seconds above 0, or None, is right")


def _wrong(error: type[OssiaError], key: str, words: str) -> OssiaError:
    """An error about one key; those of requests tell which."""
    return RequestError(words, param=key) if error is RequestError else error(words)


def _tokens(error: type[OssiaError], key: str, value: object) -> tuple[int, ...]:
    if not isinstance(value, list | tuple | set | frozenset):
        raise _wrong(error, key, f"{key} is {value!r:.80}; a list of token ids is right")
    listed = cast("list[object]", list(value))  # pyright: ignore[reportUnknownArgumentType]
    return tuple(_whole(error, key, token, least=0, what=f"a token of {key}") for token in listed)


def _biases(value: object) -> Mapping[int, float]:
    if not isinstance(value, Mapping):
        found = f"logit_bias is {value!r:.80}"
        raise RequestError(f"{found}; a mapping of token ids to numbers is right", param="logit_bias")
    biases: dict[int, float] = {}
    for key, bias in cast("Mapping[object, object]", value).items():
        token = _whole(RequestError, "logit_bias", key, least=0, what="a token of logit_bias")
        what = f"logit_bias of token {token}"
        biases[token] = -math.inf if bias == -math.inf else _number("logit_bias", bias, *BIASES, what=what)
    return biases

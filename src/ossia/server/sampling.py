"""The parameters that OpenAI's APIs spell alike."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from msgspec import Struct

from ossia.engine import SamplingParams
from ossia.errors import RequestError
from ossia.server.faults import RefusedError

__all__ = ["PLAIN", "StreamOptions", "biases", "plain", "sampled", "stop_strings"]

PLAIN = ("temperature", "top_p", "top_k", "min_p", "seed", "frequency_penalty", "presence_penalty")
"""Fields that mean what those of SamplingParams mean."""

MOST_STOPS = 16


class StreamOptions(Struct, forbid_unknown_fields=True):
    """What a stream has beside its text."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None  # padding against traffic analysis: an optional courtesy


def plain(body: object) -> dict[str, Any]:
    """The fields of `PLAIN` that a body gives."""
    return {name: value for name in PLAIN if (value := getattr(body, name)) is not None}


def sampled(own: SamplingParams, changes: Mapping[str, Any]) -> SamplingParams:
    """The model's own parameters with these changed. Raises RefusedError with the one at fault."""
    try:
        return replace(own, **changes)
    except RequestError as error:
        # Its first word is the field at fault.
        raise RefusedError(str(error), param=str(error).split()[0], code="invalid_value") from error


def biases(given: Mapping[str, float]) -> dict[int, float]:
    """`logit_bias` by token id. Raises RefusedError for a key that is none."""
    for key in given:
        if not (key.isascii() and key.isdecimal()):
            raise RefusedError(f"logit_bias has {key!r:.40}; token ids are right", param="logit_bias")
    return {int(key): value for key, value in given.items()}


def stop_strings(stop: str | list[str] | None) -> tuple[str, ...]:
    """`stop`, one or several. Raises RefusedError for empty ones and too many."""
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > MOST_STOPS or not all(stops):
        found = f"stop has {len(stops)} strings"
        raise RefusedError(f"{found}; at most {MOST_STOPS}, none of them empty, is right", param="stop")
    return stops

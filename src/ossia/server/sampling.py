"""The parameters that OpenAI's APIs spell alike."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ossia.server.faults import RefusedError

__all__ = ["PLAIN", "StreamOptions", "biases", "check_streaming", "plain", "reasoning_limit", "stop_strings"]

PLAIN = ("temperature", "top_p", "top_k", "min_p", "seed", "frequency_penalty", "presence_penalty")
"""Fields that mean what those of SamplingParams mean."""

MOST_STOPS = 16

_ID = re.compile(r"0|[1-9][0-9]{0,9}")
"""A token id as it is written, in one way only, so that no two keys are one token."""


class StreamOptions(Struct, forbid_unknown_fields=True):
    """What a stream has beside its text."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None  # padding against traffic analysis: an optional courtesy


def check_streaming(stream: bool | None, options: StreamOptions | None) -> None:
    """Raise RefusedError for options of a stream where there is none."""
    if options is not None and not stream:
        raise RefusedError("stream_options are given and stream is not true; both are right", param="stream_options")


def plain(body: object) -> dict[str, Any]:
    """The fields of `PLAIN` that a body gives."""
    return {name: value for name in PLAIN if (value := getattr(body, name)) is not None}


def biases(given: Mapping[str, float]) -> dict[int, float]:
    """`logit_bias` by token id. Raises RefusedError for a key that is none, or is not written as numbers are."""
    for key in given:
        if not _ID.fullmatch(key):
            raise RefusedError(f"logit_bias has {key!r:.40}; token ids such as 5 are right", param="logit_bias")
    return {int(key): value for key, value in given.items()}


def stop_strings(stop: str | list[str] | None, param: str = "stop") -> tuple[str, ...]:
    """`stop`, one or several. Raises RefusedError for empty ones and too many."""
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > MOST_STOPS:
        raise RefusedError(f"{param} has {len(stops)} strings; at most {MOST_STOPS} are right", param=param)
    if "" in stops:
        place = param if isinstance(stop, str) else f"{param}[{stops.index('')}]"
        raise RefusedError(f'{place} is ""; a string of at least one character is right', param=place)
    return stops


def reasoning_limit(given: Mapping[str, int | None]) -> tuple[int | None, str]:
    """The bound on reasoning in the fields that have one, and which of them has it.

    Raises RefusedError for a number below 0, and for fields that contradict each other.
    """
    found = {name: value for name, value in given.items() if value is not None}
    for name, value in found.items():
        if value < 0:
            raise RefusedError(f"{name} is {value}; a whole number from 0 on is right", param=name)
    if len(set(found.values())) > 1:
        said = " and ".join(f"{name} is {value}" for name, value in found.items())
        raise RefusedError(f"{said}; one of them, or the same in all, is right", param=next(iter(found)))
    return next(((value, name) for name, value in found.items()), (None, next(iter(given))))

"""Log-probabilities as OpenAI's APIs write them."""

from typing import Any

from ossia.assistant import DrawnToken
from ossia.harmony import Vocabulary

__all__ = ["LEAST_LOGPROB", "scored"]

LEAST_LOGPROB = -9999.0
"""What stands for minus infinity, which JSON has not. Source: OpenAI's API reference, "logprobs"."""


def scored(token: DrawnToken, vocabulary: Vocabulary) -> dict[str, Any] | None:
    """A token with its log-probability and the likeliest in its place; None if it has none."""
    if token.logprob is None:
        return None
    top = [_score(identifier, value, vocabulary) for identifier, value in token.logprob.top]
    return {**_score(token.id, token.logprob.logprob, vocabulary), "top_logprobs": top}


def _score(identifier: int, logprob: float, vocabulary: Vocabulary) -> dict[str, Any]:
    data = vocabulary.bytes_of(identifier)
    return {"token": data.decode("utf-8", "replace"), "logprob": max(logprob, LEAST_LOGPROB), "bytes": list(data)}

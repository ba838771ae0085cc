"""From what a step computed to the tokens drawn: what each row wants, as one `Draw`.

A draw is keyed by its request's seed and its place in the request, so it is the same whatever else is in the step,
after a preemption, and for a token that was guessed beforehand: a guess is right if the draw gives that very token.
"""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import numpy as np

from ossia.engine.request import Grammar, Logprob, Request, Share
from ossia.engine.runner import LoadedModel
from ossia.model import sample
from ossia.ops import Array, Draw, Drawn

__all__ = ["Choice", "Masks", "Row", "Sampler"]

Masks = Callable[[], "np.ndarray | None"]
"""Waits for the masks of some rows: [L, ceil(V / 32)] int32, None where no row has a grammar."""

ALL = np.int32(-1)
"""A word of a mask that allows each of its 32 tokens."""


class Row(NamedTuple):
    """One row to draw from: the step's row, and how many tokens ahead of its request come before the draw."""

    request: Request
    row: int
    place: int

    @property
    def forced(self) -> int | None:
        """The token that must be drawn here, if there is one."""
        request = self.request
        return request.ahead[self.place] if request.forced and self.place < len(request.ahead) else None


class Choice(NamedTuple):
    """One token drawn, -1 if none was allowed."""

    token: int
    logprob: Logprob | None


class Sampler:
    """Draws a model's tokens. `words` is the length of a mask, a bit for each token."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self.words = -(-model.config.vocab_size // 32)

    def rows(self, shares: Sequence[Share]) -> list[Row]:
        """The rows whose logits are needed. A forced token needs none, unless its log-probability is asked for."""
        rows: list[Row] = []
        end = 0
        for share in shares:
            end += share.end - share.start
            draws = share.draws
            every = (Row(share.request, end - draws + place, place) for place in range(draws))
            rows.extend(row for row in every if row.forced is None or row.request.params.logprobs is not None)
        return rows

    @contextmanager
    def masks(self, rows: Sequence[Row]) -> Generator[Masks]:
        """The masks of these rows, computed in a thread beside whatever is done within the context.

        They depend only on tokens that are known before the step, so the forward pass need not wait for them, nor they
        for it. Grammars are in the thread's hands until the context ends.
        """
        if not any(row.request.grammar for row in rows):
            yield lambda: None
            return
        begun = self._thread.submit(self._masks, rows)
        try:
            yield begun.result
        finally:
            begun.exception()  # waits; raised, if there is one, by whoever asks for the result

    def draw(self, x: Array | None, rows: Sequence[Row], masks: Masks | None = None) -> list[Choice]:
        """One choice for each row of the residual stream [L, D]; None: no rows.

        Under the masks that `masks` has begun, or under those computed now.
        """
        if x is None:
            return []
        model = self._model
        drawn = sample(model.ops, model.config, model.weights, x, self.wanted(rows, masks))
        tokens = drawn.tokens.tolist()
        return [
            Choice(token, None if row.request.params.logprobs is None else _logprob(drawn, index, row))
            for index, (token, row) in enumerate(zip(tokens, rows, strict=True))
        ]

    def wanted(self, rows: Sequence[Row], masks: Masks | None = None) -> Draw:
        """What these rows want, as arrays."""
        params = [row.request.params for row in rows]
        biases = [_bias(row) for row in rows]
        logprobs = [each.logprobs for each in params if each.logprobs is not None]
        return Draw(
            temperature=np.array([each.temperature for each in params], np.float32),
            top_k=np.array([each.top_k for each in params], np.int32),
            top_p=np.array([each.top_p for each in params], np.float32),
            min_p=np.array([each.min_p for each in params], np.float32),
            seed=np.array([row.request.seed for row in rows], np.uint64),
            position=np.array([len(row.request.tokens) + row.place for row in rows], np.int64),
            bias_starts=np.cumsum([0, *(len(bias) for bias in biases)], dtype=np.int32),
            bias_tokens=np.array([token for bias in biases for token in bias], np.int32),
            bias_values=np.array([value for bias in biases for value in bias.values()], np.float32),
            mask=masks() if masks else self._masks(rows),
            logprobs=bool(logprobs),
            top_logprobs=max(logprobs, default=0),
        )

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "masks")

    def _masks(self, rows: Sequence[Row]) -> np.ndarray | None:
        if not any(row.request.grammar for row in rows):
            return None
        masks = np.full((len(rows), self.words), ALL, np.int32)
        index = 0
        for request, group in groupby(rows, key=lambda row: row.request):
            own = list(group)
            if request.grammar:
                _fill(own, request.grammar, request.ahead, masks[index : index + len(own)])
            index += len(own)
        return masks


def _fill(rows: Sequence[Row], grammar: Grammar, ahead: Sequence[int], masks: np.ndarray) -> None:
    """The masks of one request's rows: what its grammar allows after each of the tokens ahead.

    After a guess that the grammar refuses, masks are left open: those rows will not be looked at.
    """
    accepted = 0
    for row, mask in zip(rows, masks, strict=True):
        accepted += _accept(grammar, ahead[accepted : row.place])
        if accepted < row.place:
            break
        mask[:] = 0
        if row.forced is None:
            grammar.fill_mask(mask)
        else:
            mask.view(np.uint32)[row.forced // 32] = 1 << row.forced % 32
    grammar.rollback(accepted)


def _accept(grammar: Grammar, tokens: Sequence[int]) -> int:
    """How many of these tokens, one after the other, the grammar takes."""
    for count, token in enumerate(tokens):
        if not grammar.accept(token):
            return count
    return len(tokens)


def _bias(row: Row) -> dict[int, float]:
    """What is added to the logits of single tokens: the caller's bias less the penalties; nothing to a forced one."""
    if row.forced is not None:  # it comes whatever the caller's bias says, also where no logits are needed for it
        return {}
    request, params = row.request, row.request.params
    if not params.penalised:
        return dict(params.logit_bias) if params.logit_bias else {}
    counts = dict(request.counts)
    for token in request.ahead[: row.place]:
        counts[token] = counts.get(token, 0) + 1
    bias = dict(params.logit_bias)
    for token, count in counts.items():
        penalty = params.presence_penalty + params.frequency_penalty * count
        bias[token] = bias.get(token, 0.0) - penalty
    return bias


def _logprob(drawn: Drawn, index: int, row: Row) -> Logprob:
    assert drawn.logprobs is not None
    assert drawn.top_tokens is not None
    assert drawn.top_values is not None
    count = row.request.params.logprobs
    tokens, values = drawn.top_tokens[index, :count].tolist(), drawn.top_values[index, :count].tolist()
    return Logprob(float(drawn.logprobs[index]), tuple(zip(tokens, values, strict=True)))

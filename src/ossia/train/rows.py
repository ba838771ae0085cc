"""Batches of one shape, step after step: what a device wants that compiles a step once and then launches it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ossia.errors import OssiaError
from ossia.train.packing import UNLEARNED, PrefixedBatch

__all__ = ["NO_TEXT", "Rows", "aligned"]

NO_TEXT = -1
"""The text of a token that only fills up a row."""


class Rows(NamedTuple):
    """Packed batches side by side, each a row of N; all int32 [N, S].

    A token sees those of its own text and of its group's prefix that are not behind it.
    """

    tokens: np.ndarray
    positions: np.ndarray
    texts: np.ndarray  # which request of its row a token belongs to; NO_TEXT: it only fills up
    prefixes: np.ndarray  # the request that is the prefix of its group
    targets: np.ndarray  # the token to be predicted there, or UNLEARNED


def aligned(batches: Sequence[PrefixedBatch], length: int) -> Rows:
    """The batches as rows of `length` tokens: filled up, or cut where they are longer.

    Raises OssiaError when no row keeps anything that is learned.
    """
    rows = Rows(*(np.stack(parts) for parts in zip(*(_row(batch, length) for batch in batches), strict=True)))
    if (rows.targets == UNLEARNED).all():
        raise OssiaError(f"no row of {length} tokens holds one that is learned; longer rows, or some marks, are right")
    return rows


def _row(batch: PrefixedBatch, length: int) -> tuple[np.ndarray, ...]:
    counts = np.diff(batch.starts)
    requests = np.arange(len(counts), dtype=np.int32)
    prefixes = np.repeat(batch.groups[:-1], np.diff(batch.groups))
    targets = np.full(len(batch.tokens), UNLEARNED, np.int32)
    learned = batch.targets != UNLEARNED
    targets[batch.logit_rows[learned]] = batch.targets[learned]
    return (
        _fitted(batch.tokens, length, 0),
        _fitted(batch.positions, length, 0),
        _fitted(np.repeat(requests, counts), length, NO_TEXT),
        _fitted(np.repeat(prefixes, counts), length, NO_TEXT),
        _fitted(targets, length, UNLEARNED),
    )


def _fitted(values: np.ndarray, length: int, filling: int) -> np.ndarray:
    kept = values[:length]
    return np.pad(kept, (0, length - len(kept)), constant_values=filling).astype(np.int32)

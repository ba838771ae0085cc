"""Random inputs of every operation, and steps over a paged cache."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ml_dtypes import bfloat16

from ossia.ops import Array, Batch, Draw, Linear, Ops, Pages, Role

KIND = "full_attention"


def normal(seed: int, *shape: int, scale: float = 1.0, dtype: Any = np.float32) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(dtype)


def weight(seed: int, *shape: int, dtype: Any = bfloat16) -> np.ndarray:
    """A weight whose products with unit inputs are of order one."""
    return normal(seed, *shape, scale=shape[-1] ** -0.5, dtype=dtype)


@dataclass(frozen=True)
class Books:
    """Which pages each request has: as many as `lengths` need, in an order without any order."""

    page_size: int
    table: np.ndarray  # [R, P] int32
    pages: int

    @classmethod
    def open(cls, lengths: Sequence[int], page_size: int, seed: int = 0) -> "Books":
        needed = [-(-length // page_size) for length in lengths]
        spare = 2
        order = np.random.default_rng(seed).permutation(sum(needed) + spare).astype(np.int32)
        table = np.full((len(lengths), max(needed)), -1, np.int32)
        ends = np.cumsum(needed)
        for request, (end, count) in enumerate(zip(ends, needed, strict=True)):
            table[request, :count] = order[end - count : end]
        return cls(page_size, table, len(order))

    @property
    def slots(self) -> int:
        return self.pages * self.page_size

    def step(self, spans: Sequence[tuple[int, int, int]], padding: int = 0, window: int | None = None) -> Batch:
        """The step that brings positions `first` up to `end` of each request; spans are (request, first, end).

        With a window, the pages that no token of the step can see are given back.
        """
        positions = np.concatenate([np.arange(first, end) for _, first, end in spans] + [np.zeros(padding)])
        rows = np.concatenate([np.full(end - first, request) for request, first, end in spans])
        table = self.table[[request for request, _, _ in spans]].copy()
        if window is not None:
            for row, (_, first, _) in zip(table, spans, strict=True):
                row[: max(0, first - window + 1) // self.page_size] = -1
        positions = positions.astype(np.int32)
        own = positions[: len(rows)]
        slots = self.table[rows.astype(int), own // self.page_size] * self.page_size + own % self.page_size
        slots = np.concatenate([slots, np.full(padding, -1)]).astype(np.int32)
        starts = np.cumsum([0] + [end - first for _, first, end in spans]).astype(np.int32)
        tokens = np.zeros(len(positions), np.int32)
        return Batch(tokens, positions, starts, starts[1:] - 1, {KIND: Pages(slots, table)}, self.page_size)


def draw(rows: int, **changes: Any) -> Draw:
    """A draw of `rows` rows; greedy and without filters unless `changes` say otherwise (scalars fill a column)."""
    columns: dict[str, Any] = {
        "temperature": np.zeros(rows, np.float32),
        "top_k": np.zeros(rows, np.int32),
        "top_p": np.ones(rows, np.float32),
        "min_p": np.zeros(rows, np.float32),
        "seed": np.arange(rows, dtype=np.uint64),
        "position": np.arange(rows, dtype=np.int64),
        "bias_starts": np.zeros(rows + 1, np.int32),
        "bias_tokens": np.zeros(0, np.int32),
        "bias_values": np.zeros(0, np.float32),
    }
    for name, value in changes.items():
        filled = name in columns and np.ndim(value) == 0
        columns[name] = np.full_like(columns[name], value) if filled else value
    return Draw(**columns)


def reading(ops: Ops, logits: np.ndarray) -> tuple[Array, Linear]:
    """Rows [L, D] and an unembedding that give exactly these logits [L, V], which are finite where L is not 1."""
    rows = max(len(logits), 1)
    weight = np.ascontiguousarray(logits.T) if len(logits) else np.zeros((logits.shape[1], rows), np.float32)
    x = np.eye(rows, dtype=np.float32)[: len(logits)]
    return ops.array(x), Linear(ops.prepare(weight, Role.UNEMBEDDING, "unembedding"))


def mask_of(allowed: Sequence[Sequence[int]], size: int) -> np.ndarray:
    """[L, ceil(V / 32)] int32: the bitmap of allowed tokens."""
    bits = np.zeros((len(allowed), -(-size // 32) * 32), np.uint8)
    for row, tokens in zip(bits, allowed, strict=True):
        row[list(tokens)] = 1
    return np.packbits(bits, axis=1, bitorder="little").view(np.int32)

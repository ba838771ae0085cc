"""Attention of every backend against its judge: windows, sinks, grouped heads, pages, chunks and packed sequences."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ml_dtypes import bfloat16

from ossia.errors import BackendError
from ossia.ops import Batch, CacheDtype, Ops, Role, make_ops
from ossia.ops.native import NativeOps
from tests.ops import judges
from tests.ops.cases import KIND, Books, normal


@pytest.fixture(
    params=[
        pytest.param((backend, precision, dtype), marks=[pytest.mark.torch] if backend == "torch" else [])
        for backend in ("reference", "native", "torch")
        for precision, dtype in (("exact", None), ("fast", None), ("fast", "int8"), ("exact", "bf16"))
    ],
    ids=lambda value: "-".join(filter(None, value)),
)
def ops(request: pytest.FixtureRequest) -> Ops:
    backend, precision, dtype = request.param
    return make_ops(backend, precision, kv_cache_dtype=dtype)


class Heads:
    """Random queries, keys and values of some whole sequences, side by side."""

    def __init__(self, lengths: Sequence[int], heads: int, key_heads: int, width: int, scale: float = 1.0) -> None:
        total = sum(lengths)
        self.starts = np.cumsum([0, *lengths])
        self.q = normal(40, total, heads, width, scale=scale)
        self.k, self.v = normal(41, total, key_heads, width), normal(42, total, key_heads, width)
        self.sinks = normal(43, heads)

    def rows(self, spans: Sequence[tuple[int, int, int]], padding: int = 0) -> np.ndarray:
        """The rows of positions `first` up to `end` of each sequence; padding repeats row 0."""
        parts = [np.arange(self.starts[request] + first, self.starts[request] + end) for request, first, end in spans]
        return np.concatenate([*parts, np.zeros(padding, int)]).astype(int)

    def judged(self, ops: Ops, request: int, position: int, window: int | None) -> judges.Judged:
        """[H * E] of one token."""
        start, end = self.starts[request], self.starts[request] + position + 1
        seen = slice(start if window is None else max(start, end - window), end)
        keys, _ = judges.cached(self.k[seen], ops.kv_cache_dtype)
        values, scales = judges.cached(self.v[seen], ops.kv_cache_dtype)
        positions = np.arange(seen.start, seen.stop) - start
        group = self.q.shape[1] // self.k.shape[1]

        def one(q: np.ndarray, sink: float, head: int) -> judges.Judged:
            seen = q, keys[:, head], values[:, head], sink
            if ops.name == "native" and ops.kv_cache_dtype is CacheDtype.INT8:
                return judges.attend_whole(*seen, scales[:, head], positions)
            if ops.name != "native":
                return judges.attend_one(*seen)
            if ops.kv_cache_dtype is CacheDtype.F32:
                return judges.attend_one(*seen, least=judges.LEAST_WEIGHT)
            if isinstance(ops, NativeOps) and ops.isa == "zen4":
                seen = q.astype(bfloat16), *seen[1:]
                return judges.attend_one(*seen, weight=2.0**-8, least=judges.LEAST_WEIGHT)
            # Matrix tiles take a number as the sum of two of bfloat16, and the rest of the first is 2^-8 of it.
            return judges.attend_one(*seen, query=2.0**-17, weight=2.0**-17, least=judges.LEAST_WEIGHT)

        heads = [one(q, self.sinks[head], head // group) for head, q in enumerate(self.q[end - 1])]
        return judges.Judged(*(np.concatenate(parts) for parts in zip(*heads, strict=True)))

    def attend(self, ops: Ops, cache: Any, batch: Batch, rows: np.ndarray, window: int | None = None) -> np.ndarray:
        q, k, v = (ops.array(part[rows]) for part in (self.q, self.k, self.v))
        sinks = ops.prepare(self.sinks, Role.VECTOR, "sinks")
        return ops.numpy(ops.attend(q, k, v, sinks, cache, batch, KIND, window))


def run(
    ops: Ops, heads: Heads, steps: Sequence[Sequence[tuple[int, int, int]]], page_size: int, window: int | None
) -> dict[tuple[int, int], np.ndarray]:
    """The results of every token after some steps over one cache, by request and position."""
    books = Books.open(np.diff(heads.starts).tolist(), page_size)
    cache = ops.new_cache(books.slots, page_size, *heads.k.shape[1:])
    results = {}
    for number, spans in enumerate(steps):
        padding = number % 3
        y = heads.attend(ops, cache, books.step(spans, padding, window), heads.rows(spans, padding), window)
        tokens = [(request, position) for request, first, end in spans for position in range(first, end)]
        results |= dict(zip(tokens, y, strict=False))
    return results


SHAPES = [(1, 1, 2), (8, 1, 64), (8, 8, 32), (12, 4, 48), (64, 8, 64), (6, 2, 128), (20, 2, 16)]


@pytest.mark.parametrize(("heads", "key_heads", "width"), SHAPES)
@pytest.mark.parametrize("window", [None, 1, 7])
def test_packed_sequences(ops: Ops, heads: int, key_heads: int, width: int, window: int | None):
    lengths = [5, 1, 20]
    made = Heads(lengths, heads, key_heads, width)
    y = made.attend(ops, None, Batch.packed([[0] * length for length in lengths]), np.arange(26), window)
    assert y.shape == (26, heads * width)
    for request, length in enumerate(lengths):
        for position in range(length):
            made.judged(ops, request, position, window).check(y[made.starts[request] + position])


@pytest.mark.parametrize("page_size", [1, 3, 16, 64, 100])
@pytest.mark.parametrize("window", [None, 5, 40])
def test_steps_over_pages(ops: Ops, page_size: int, window: int | None):
    """Two requests whose prompts come in pieces, mixed with single tokens; pages behind the window are gone."""
    made = Heads([90, 70], 4, 2, 16)
    steps = [
        [(0, 0, 50)],
        [(1, 0, 1), (0, 50, 51)],
        [(0, 51, 88), (1, 1, 68)],
        [(1, 68, 69), (0, 88, 90)],
        [(1, 69, 70)],
    ]
    results = run(ops, made, steps, page_size, window)
    assert len(results) == 160
    for (request, position), y in results.items():
        made.judged(ops, request, position, window).check(y)


@pytest.mark.parametrize("depth", [511, 512, 513, 1500])
@pytest.mark.parametrize("window", [None, 600])
def test_long_contexts(ops: Ops, depth: int, window: int | None):
    made = Heads([depth + 3], 8, 2, 32)
    results = run(ops, made, [[(0, 0, depth)], [(0, depth, depth + 1)], [(0, depth + 1, depth + 3)]], 32, window)
    for position in [0, depth // 2, depth - 1, depth, depth + 1, depth + 2]:
        made.judged(ops, 0, position, window).check(results[0, position])


@pytest.mark.parametrize("sink", [-1e30, -50.0, 50.0, 1e4, -np.inf])
def test_sinks_at_their_ends(ops: Ops, sink: float):
    made = Heads([9], 4, 2, 16)
    made.sinks = np.array([sink, 0, sink, -1], np.float32)
    for position, y in run(ops, made, [[(0, 0, 9)]], 4, None).items():
        made.judged(ops, *position, None).check(y)


@pytest.mark.parametrize("scale", [0.0, 1e-20, 100.0, 1e4])
def test_scores_at_their_ends(ops: Ops, scale: float):
    """No difference between keys at all, and one key that outweighs every other by far."""
    made = Heads([40], 2, 1, 16, scale)
    for position, y in run(ops, made, [[(0, 0, 40)]], 16, None).items():
        made.judged(ops, *position, None).check(y)


def test_pages_that_are_not_there_are_never_read(ops: Ops):
    """Whatever lies in slots of nobody, and in those of others, leaves no trace."""
    made = Heads([40], 2, 1, 16)
    books = Books.open([40, 40], 8)
    results = []
    for filling in (0.0, 1e30):
        cache = ops.new_cache(books.slots, 8, 1, 16)
        full = Heads([40, 40], 2, 1, 16)
        full.k[:], full.v[:] = filling, filling
        full.attend(ops, cache, books.step([(0, 0, 40), (1, 0, 40)]), full.rows([(0, 0, 40), (1, 0, 40)]))
        made.attend(ops, cache, books.step([(0, 0, 30)]), made.rows([(0, 0, 30)]))
        step = books.step([(0, 30, 31)], window=7)
        assert (step.pages or {})[KIND].table[0, 0] == -1
        results.append(made.attend(ops, cache, step, made.rows([(0, 30, 31)]), 7))
    np.testing.assert_array_equal(*results)


def test_a_copied_page_holds_the_same(ops: Ops):
    """A second request takes over a copy of the first one's last page and goes on from there by itself."""
    made = Heads([12, 12], 4, 2, 16)
    made.k[12:18], made.v[12:18] = made.k[:6], made.v[:6]
    books = Books.open([12, 12], 4)
    cache = ops.new_cache(books.slots, 4, 2, 16)
    made.attend(ops, cache, books.step([(0, 0, 6)]), made.rows([(0, 0, 6)]))
    for page in range(2):
        ops.write_page(cache, 4, int(books.table[1, page]), ops.read_page(cache, 4, int(books.table[0, page])))
    spans = [(0, 6, 9), (1, 6, 12)]
    y = made.attend(ops, cache, books.step(spans), made.rows(spans))
    tokens = [(request, position) for request, first, end in spans for position in range(first, end)]
    for result, token in zip(y, tokens, strict=True):
        made.judged(ops, *token, None).check(result)


def test_a_step_without_tokens(ops: Ops):
    made = Heads([4], 4, 2, 16)
    books = Books.open([4], 4)
    cache = ops.new_cache(books.slots, 4, 2, 16)
    step = books.step([(0, 0, 0)])
    assert made.attend(ops, cache, step, made.rows([(0, 0, 0)])).shape == (0, 64)


def test_a_cache_needs_pages(ops: Ops):
    made = Heads([4], 4, 2, 16)
    cache = ops.new_cache(8, 4, 2, 16)
    with pytest.raises(BackendError, match="the batch has no pages"):
        made.attend(ops, cache, Batch.packed([[0] * 4]), np.arange(4))

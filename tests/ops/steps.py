"""Attention on the native backend, in steps of any cut, on each instruction set that this processor has."""

import numpy as np

from ossia.errors import BackendError
from ossia.ops import Role
from ossia.ops.native import NativeOps
from tests.ops.cases import KIND, Books, normal


def instruction_sets() -> list[str]:
    """Those that this processor has."""
    found = []
    for isa in ("portable", "avx2", "avx512", "avx512bf16", "zen4", "amx", "neon", "dotprod"):
        try:
            found.append(NativeOps(isa=isa).isa)
        except BackendError:
            continue
    return found


class Steps:
    """Three requests through attention over one cache, in any cut; results by request and position."""

    LENGTHS = (700, 90, 33)

    def __init__(
        self, ops: NativeOps, window: int | None, page_size: int = 16, heads: int = 8, width: int = 32
    ) -> None:
        self.ops, self.window = ops, window
        self.books = Books.open(self.LENGTHS, page_size, seed=page_size)
        self.cache = ops.new_cache(self.books.slots, page_size, 2, width)
        total, self.firsts = sum(self.LENGTHS), np.cumsum([0, *self.LENGTHS])
        self.parts = normal(60, total, heads, width), normal(61, total, 2, width), normal(62, total, 2, width)
        self.sinks = ops.prepare(normal(63, heads), Role.VECTOR, "sinks")
        self.results: dict[tuple[int, int], bytes] = {}

    def step(self, *spans: tuple[int, int, int]) -> None:
        batch = self.books.step(spans, padding=len(self.results) % 3, window=self.window)
        tokens = [(request, position) for request, first, end in spans for position in range(first, end)]
        rows = [self.firsts[request] + position for request, position in tokens]
        rows += [0] * (len(batch.tokens) - len(rows))
        q, k, v = (part[rows] for part in self.parts)
        y = self.ops.attend(q, k, v, self.sinks, self.cache, batch, KIND, self.window)
        self.results |= {token: y[row].tobytes() for row, token in enumerate(tokens)}

    def spoil(self) -> None:
        """Leave no number in the places that tokens come to, as a request before may have."""
        q, k, v = self.parts
        self.parts = q, np.full_like(k, np.nan), np.full_like(v, np.nan)
        self.alone()
        self.parts, self.results = (q, k, v), {}

    def alone(self) -> dict[tuple[int, int], bytes]:
        for request, length in enumerate(self.LENGTHS):
            self.step((request, 0, length))
        return self.results

    def mixed(self, seed: int) -> dict[tuple[int, int], bytes]:
        """Chunks of any size, of any requests together."""
        rng, done = np.random.default_rng(seed), [0] * len(self.LENGTHS)
        while any(at < length for at, length in zip(done, self.LENGTHS, strict=True)):
            spans = []
            for request, length in enumerate(self.LENGTHS):
                chunk = min(int(rng.choice([0, 1, 1, 3, 64, 200])), length - done[request])
                if chunk:
                    spans.append((request, done[request], done[request] + chunk))
                    done[request] += chunk
            if spans:
                self.step(*spans)
        return self.results

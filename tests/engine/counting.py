"""A backend that counts instead of computing: exact, the same in any batch, and it notices every wrong page.

An activation is one whole number below 2^24, so float32 holds it exactly. Attention adds up what it sees, each key
times a number that belongs to its position, so that the result is another for every other prefix (in a sliding layer:
window). A slot remembers the position written to it, and one that is read for another position is an error.
"""

from typing import Any

import numpy as np

from ossia import int4
from ossia.config import ModelConfig
from ossia.engine import LoadedModel
from ossia.int4 import Int4
from ossia.int8 import Int8, encode
from ossia.model import Layer, Weights
from ossia.ops import Batch, CacheDtype, Draw, Drawn, ExpertRounding, Experts, Linear, Precision
from ossia.ops.sampling import sample
from ossia.ops.scanning import Scanning
from tests.engine.models import small_config

MODULUS = 1 << 20
POSITIONS = 4096
OF_POSITION = np.random.default_rng(5).integers(1, MODULUS, POSITIONS)


class CountingOps(Scanning):
    """`ossia.ops.Ops` over whole numbers; weights are None."""

    name = "counting"
    precision = Precision.EXACT
    kv_cache_dtype = stored_dtype = CacheDtype.F32
    batch_invariant = True
    expert_rounding = ExpertRounding.of(Precision.EXACT)
    most_whole_tokens = None
    edition = None
    screens = False

    def __init__(self, vocab_size: int, likeliest: float = 6.0) -> None:
        self.vocab_size = vocab_size
        self.likeliest = likeliest
        self.rows_computed = 0
        self.copies = 0

    def prepare(self, tensor: Any, role: Any, name: str) -> None:
        return None

    def array(self, values: np.ndarray) -> np.ndarray:
        return values

    def numpy(self, array: np.ndarray) -> np.ndarray:
        return array

    def new_cache(self, slots: int, page_size: int, heads: int, width: int) -> np.ndarray:
        return np.full((2, slots), -1, np.int64)  # what was written, and for which position

    def round_int8(self, tensor: np.ndarray) -> Int8:
        return encode(tensor)

    def round_int4(self, tensor: Int8) -> Int4:
        return int4.encode(tensor)

    def read_ahead(self, *, experts: bool = True) -> None:
        pass

    def read_page(self, cache: np.ndarray, page_size: int, page: int) -> np.ndarray:
        return cache[:, page * page_size : (page + 1) * page_size].ravel().view(np.uint8)

    def write_page(self, cache: np.ndarray, page_size: int, page: int, content: np.ndarray) -> None:
        cache[:, page * page_size : (page + 1) * page_size] = content.view(np.int64).reshape(2, page_size)
        self.copies += 1

    def embed(self, table: None, tokens: np.ndarray) -> np.ndarray:
        self.rows_computed += len(tokens)
        return np.stack([tokens, np.zeros_like(tokens)], axis=1).astype(np.float32)

    def rms_norm(self, x: np.ndarray, scale: None, eps: float) -> np.ndarray:
        return x

    def linear(self, x: np.ndarray, projection: Linear, adapters: np.ndarray | None = None) -> np.ndarray:
        if projection.weight != "unembedding":
            return x
        state = x[:, :1].astype(np.int64)
        mixed = (state * 7919 + np.arange(self.vocab_size) * 104729 + state * np.arange(self.vocab_size) * 31) % 10007
        return (mixed / 10007 * self.likeliest).astype(np.float32)

    def rope(self, x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
        return x

    def attend(
        self,
        q: np.ndarray,
        k: np.ndarray,
        v: np.ndarray,
        sinks: None,
        cache: np.ndarray | None,
        batch: Batch,
        kind: str,
        window: int | None,
    ) -> np.ndarray:
        values = k[:, 0, 0].astype(np.int64)
        if cache is not None:
            assert batch.pages is not None
            slots = batch.pages[kind].slots
            assert len(set(slots.tolist())) == len(slots), "two tokens share a slot"
            assert (slots >= 0).all()
            cache[0, slots], cache[1, slots] = values, batch.positions
        seen = np.zeros(len(values), np.int64)
        for request in batch.requests:
            for row in range(batch.starts[request], batch.starts[request + 1]):
                last = int(batch.positions[row])
                positions = np.arange(0 if window is None else max(0, last - window + 1), last + 1)
                keys = (
                    values[batch.starts[request] + positions]
                    if cache is None
                    else _read(cache, batch, kind, request, positions)
                )
                seen[row] = int((keys * OF_POSITION[positions] % MODULUS).sum()) % MODULUS
        return np.stack([seen, np.zeros_like(seen)], axis=1).astype(np.float32)

    def route(self, x: np.ndarray, router: Linear, active: int) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((len(x), active), np.int32), np.zeros((len(x), active), np.float32)

    def experts(
        self,
        x: np.ndarray,
        chosen: np.ndarray,
        shares: np.ndarray,
        experts: Experts,
        limit: float,
        adapters: np.ndarray | None = None,
    ) -> np.ndarray:
        added = np.zeros_like(x)
        if adapters is not None:  # an adapter changes everything after it, as a real one would
            added[:, 0] = 1000 * (adapters + 1)
        return added

    def sample(self, x: np.ndarray, unembedding: Linear, draw: Draw) -> Drawn:
        return sample(self.linear(x, unembedding), draw)


def _read(cache: np.ndarray, batch: Batch, kind: str, request: int, positions: np.ndarray) -> np.ndarray:
    assert batch.pages is not None
    pages = batch.pages[kind].table[request, positions // batch.page_size]
    assert (pages >= 0).all(), f"{kind} has no page for a position that is seen"
    values, written_for = cache[:, pages * batch.page_size + positions % batch.page_size]
    assert (written_for == positions).all(), f"{kind} reads a slot that was written for another position"
    return values


def counting_model(config: ModelConfig | None = None, adapters: tuple[str, ...] = (), **how: float) -> LoadedModel:
    """A model of two layers, one of each kind."""
    sizes = {"hidden_size": 2, "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 2, "vocab_size": 53}
    kinds = ("sliding_attention", "full_attention")
    config = config or small_config(num_hidden_layers=2, layer_types=kinds, **sizes)
    plain = Linear("identity")
    layer = Layer(None, plain, plain, plain, plain, None, None, plain, Experts(plain, plain))
    weights = Weights(None, (layer,) * config.num_hidden_layers, None, Linear("unembedding"))
    return LoadedModel(CountingOps(config.vocab_size, **how), config, weights, adapters)

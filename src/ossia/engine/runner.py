"""One step's shares as one batch, run through the model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ossia.config import ModelConfig
from ossia.engine.pages import Kind, PageTable
from ossia.engine.request import Share
from ossia.model import Weights, hidden
from ossia.ops import Array, Batch, Cache, Ops, Pages

__all__ = ["LoadedModel", "Runner"]


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run: its weights are in the backend's keeping.

    `adapters` are the names of the low-rank adapters that the weights were prepared with, in their order.
    """

    ops: Ops
    config: ModelConfig
    weights: Weights
    adapters: tuple[str, ...] = ()


class Runner:
    """The model with its caches, one per layer."""

    def __init__(self, model: LoadedModel, kinds: Sequence[Kind]) -> None:
        self._model = model
        self._kinds = {kind.name: kind for kind in kinds}
        self._page_size = kinds[0].page_size
        config = model.config
        self._caches = [
            model.ops.new_cache(
                self._kinds[name].pages * self._page_size, self._page_size, config.num_key_value_heads, config.head_dim
            )
            for name in config.layer_types
        ]

    def copy_page(self, kind: str, source: int, target: int) -> None:
        """Make page `target` hold what page `source` holds, in every layer of this kind."""
        ops, size = self._model.ops, self._page_size
        for name, cache in self._layers():
            if name == kind:
                ops.write_page(cache, size, target, ops.read_page(cache, size, source))

    def read_pages(self, tables: Mapping[str, PageTable]) -> list[np.ndarray]:
        """What the pages in a request's tables hold, of each layer uint8 [pages, N]."""
        read, size = self._model.ops.read_page, self._page_size
        # A window of one token may have no page yet.
        return [
            np.array([read(cache, size, page) for page in tables[kind].held()], np.uint8)
            for kind, cache in self._layers()
        ]

    def write_pages(self, tables: Mapping[str, PageTable], contents: Sequence[np.ndarray]) -> bool:
        """Make the pages in a request's tables hold what was read from others; False, and no change, if they cannot."""
        ops, size = self._model.ops, self._page_size
        places = [[(cache, page) for page in tables[kind].held()] for kind, cache in self._layers()]
        shapes = [[ops.read_page(cache, size, page).shape for cache, page in layer] for layer in places]
        if shapes != [[page.shape for page in content] for content in contents]:
            return False
        for layer, content in zip(places, contents, strict=True):
            for (cache, page), page_content in zip(layer, content, strict=True):
                ops.write_page(cache, size, page, page_content)
        return True

    def _layers(self) -> Iterable[tuple[str, Cache]]:
        """Of each layer its kind and its cache."""
        return zip(self._model.config.layer_types, self._caches, strict=True)

    def forward(self, shares: Sequence[Share], logit_rows: Sequence[int]) -> Array | None:
        """Compute every share's tokens; the residual stream [L, D] of these rows of the step, None for no rows."""
        batch = self.batch(shares, logit_rows)
        x = hidden(self._model.ops, self._model.config, self._model.weights, batch, self._caches)
        return x[batch.logit_rows] if logit_rows else None

    def batch(self, shares: Sequence[Share], logit_rows: Sequence[int]) -> Batch:
        """The shares side by side, in their order."""
        lengths = [share.end - share.start for share in shares]
        starts = np.zeros(len(shares) + 1, np.int32)
        np.cumsum(lengths, out=starts[1:])
        request_of_row = np.repeat(np.arange(len(shares)), lengths)
        positions = np.concatenate([np.arange(share.start, share.end, dtype=np.int32) for share in shares])
        return Batch(
            tokens=np.array([token for share in shares for token in share.tokens()], np.int32),
            positions=positions,
            starts=starts,
            logit_rows=np.array(logit_rows, np.int32),
            pages={name: self._pages(kind, shares, request_of_row, positions) for name, kind in self._kinds.items()},
            page_size=self._page_size,
            adapters=self._adapters(shares, lengths),
        )

    def _pages(self, kind: Kind, shares: Sequence[Share], request_of_row: np.ndarray, positions: np.ndarray) -> Pages:
        most = max(kind.end_page(share.end) for share in shares)
        tables = [share.request.holding.tables[kind.name].pages[:most] for share in shares]
        table = np.stack(tables)
        size = np.int32(self._page_size)
        return Pages(slots=table[request_of_row, positions // size] * size + positions % size, table=table)

    def _adapters(self, shares: Sequence[Share], lengths: Sequence[int]) -> np.ndarray | None:
        if not self._model.adapters:
            return None
        return np.repeat(np.array([share.request.adapter for share in shares], np.int32), lengths)

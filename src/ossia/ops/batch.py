"""One step's work as plain arrays: which tokens, where their keys and values go, which logits are wanted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ossia.errors import BackendError

__all__ = ["Batch", "Pages", "check_indices"]


@dataclass(frozen=True)
class Pages:
    """Where one kind of layer keeps the keys and values of each request.

    A page is `Batch.page_size` neighbouring slots; the slot of a page's first position is page * page_size. A page that
    was given back, or that is not there yet, is -1 in the table; attention never looks at one.
    """

    slots: np.ndarray  # [T] int32, where this step's keys and values are written; -1: nowhere (padding)
    table: np.ndarray  # [R, P] int32, page of positions p * page_size ... of request r; -1: none


@dataclass(frozen=True)
class Batch:
    """The tokens of one step, request after request.

    The rows `starts[r]` up to `starts[r + 1]` belong to request r, at consecutive positions. Rows from `starts[R]` on
    are padding: their slots are -1 and what is computed for them is not to be looked at.

    Without pages, the requests are whole sequences packed side by side, each attending to itself alone, and nothing is
    kept: the form for training and for reading all logits of a text.
    """

    tokens: np.ndarray  # [T] int32
    positions: np.ndarray  # [T] int32
    starts: np.ndarray  # [R + 1] int32
    logit_rows: np.ndarray  # [L] int32, the rows whose logits are wanted
    pages: Mapping[str, Pages] | None = None  # by kind of layer
    page_size: int = 0
    adapters: np.ndarray | None = None  # [T] int32, adapter of each token; -1: none

    @classmethod
    def packed(cls, sequences: Sequence[Sequence[int]]) -> "Batch":
        """Whole sequences side by side, without a cache; every row's logits are wanted."""
        lengths = [len(sequence) for sequence in sequences]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        tokens = np.concatenate([np.asarray(sequence, np.int32) for sequence in sequences])
        positions = np.concatenate([np.arange(length, dtype=np.int32) for length in lengths])
        return cls(tokens, positions, starts, np.arange(len(tokens), dtype=np.int32))

    @property
    def requests(self) -> range:
        """The numbers of the requests, 0 to R - 1."""
        return range(len(self.starts) - 1)

    def rows(self, request: int) -> slice:
        """The rows of one request."""
        return slice(int(self.starts[request]), int(self.starts[request + 1]))

    def pages_of(self, kind: str) -> Pages:
        """The pages of one kind of layer. Raises BackendError if the batch has none, as with a cache it must."""
        if self.pages is None:
            raise BackendError("a cache was given, but the batch has no pages; both or neither is right")
        return self.pages[kind]

    def slots(self, kind: str, request: int, first: int, end: int) -> np.ndarray:
        """The slots of a request's positions `first` up to `end` in the caches of one kind of layer."""
        positions = np.arange(first, end)
        page = self.pages_of(kind).table[request, positions // self.page_size]
        return page * self.page_size + positions % self.page_size

    @staticmethod
    def visible(queries: np.ndarray, keys: np.ndarray, window: int | None) -> np.ndarray:
        """[queries, keys] bool: which keys a query sees, by their positions in one request."""
        distance = queries[:, None] - keys[None, :]
        return (distance >= 0) & (distance < (window or np.inf))


def check_indices(what: str, indices: np.ndarray, count: int) -> None:
    """Raises BackendError naming the first of `indices` that is not at least 0 and below `count`."""
    outside = indices[(indices < 0) | (indices >= count)]
    if outside.size:
        raise BackendError(f"{what} {outside[0]} is outside; at least 0 and below {count} is right")

"""What the native backend keeps from one call to the next: weights, caches, and the step under way.

The library wants addresses; each object here holds the arrays that its addresses point to, and with them the mapped
file, for as long as it lives itself.
"""

import ctypes
import weakref
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from ml_dtypes import bfloat16

from ossia.errors import BackendError
from ossia.int4 import Int4, int4_bytes, int4_panel_bytes
from ossia.int8 import Int8, int8_bytes, panel_bytes
from ossia.mxfp4 import Packed
from ossia.ops import library
from ossia.ops.batch import Batch
from ossia.ops.protocol import Precision

__all__ = [
    "PACKED_PAGE",
    "Cache",
    "Screen",
    "Step",
    "Vector",
    "Weight",
    "each_span",
    "empty_int4",
    "empty_int8",
    "packed_step",
    "paged_step",
]

PACKED_PAGE = 64
"""Positions of a page where the caller has no pages: sequences side by side."""

# The kernels load whole cache lines.
_ALIGNMENT = 64


class Vector:
    """A small weight, in float32."""

    def __init__(self, tensor: np.ndarray) -> None:
        self.array = np.ascontiguousarray(tensor, np.float32)
        self.address = self.array.ctypes.data


class Weight:
    """A matrix or a stack of them, as stored; copied only if its rows do not lie one after another."""

    def __init__(self, tensor: np.ndarray | Packed | Int8 | Int4, precision: Precision = Precision.EXACT) -> None:
        if isinstance(tensor, Packed):
            self.values, self.scales = np.ascontiguousarray(tensor.blocks), np.ascontiguousarray(tensor.scales)
            self.dtype = library.MXFP4
        elif isinstance(tensor, Int8):
            self.values, self.scales = np.ascontiguousarray(tensor.panels), None
            self.dtype = library.INT8
        elif isinstance(tensor, Int4):
            self.values, self.scales = np.ascontiguousarray(tensor.panels), None
            self.dtype = library.SCREEN
        else:
            self.values, self.scales = np.ascontiguousarray(tensor), None
            self.dtype = library.BF16 if tensor.dtype == bfloat16 else library.F32
        self.experts, self.rows, self.columns = (1, *tensor.shape)[-3:]
        self.precision = precision
        """How `linear` rounds what it is multiplied by."""
        self.screen: Screen | None = None
        """Of an unembedding, what tells which of its rows a draw needs, if it came with that."""
        self._paired: tuple[Vector | None, int, library.Weight] | None = None

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Where it lies in memory: address and bytes of its values, and of its scales if it has any."""
        arrays = (self.values,) if self.scales is None else (self.values, self.scales)
        return [(array.ctypes.data, array.nbytes) for array in arrays]

    def spans_of(self, expert: int) -> list[tuple[int, int]]:
        """The part of `spans` that one expert's matrix lies in."""
        parts = ((address, size // self.experts) for address, size in self.spans)
        return [(address + expert * size, size) for address, size in parts]

    def with_bias(self, bias: Vector | None) -> int:
        """The address of the library's struct for this weight and its bias; made at the first call."""
        if self._paired is None or self._paired[0] is not bias:
            struct = self._struct(bias)
            self._paired = bias, ctypes.addressof(struct), struct
        return self._paired[1]

    def _struct(self, bias: Vector | None) -> library.Weight:
        if bias is not None and bias.array.size != self.experts * self.rows:
            raise BackendError(
                f"a bias of {bias.array.size} values for {self.experts} x {self.rows} rows; one for each row is right"
            )
        return library.Weight(
            self.values.ctypes.data,
            None if self.scales is None else self.scales.ctypes.data,
            None if bias is None else bias.address,
            self.experts,
            self.rows,
            self.columns,
            self.dtype,
        )


class Screen(NamedTuple):
    """A copy of a weight, by which its rows are screened for at most so many rows of a draw."""

    copy: Weight
    norms: np.ndarray | None  # of one in 8 bits [N] float32, as `ossia_int8_norms` makes them; one in 4 needs none
    most_rows: int


class Cache:
    """Pages of keys and values of one layer, laid out as the library likes."""

    def __init__(self, pages: int, page_size: int, heads: int, width: int, dtype: int) -> None:
        self.struct = library.Cache(None, pages, page_size, heads, width, dtype)
        self.address = ctypes.addressof(self.struct)
        page_bytes, widest = library.load().ossia_page_bytes(self.address), 256 if dtype == library.INT8 else 1024
        if page_bytes == 0:
            raise BackendError(
                f"no cache of {pages} pages of {page_size} positions, {heads} heads of width {width} can be kept; "
                f"a positive page size and an even width up to {widest} are right"
            )
        # Zeros come from the system untouched: a page takes no memory before it is written.
        self.pages = _aligned(np.zeros(pages * page_bytes + _ALIGNMENT, np.uint8)).reshape(pages, page_bytes)
        self.struct.data = self.pages.ctypes.data

    def page(self, number: int) -> np.ndarray:
        """The bytes of a page."""
        if not 0 <= number < len(self.pages):
            raise BackendError(f"page {number}: there are pages 0 to {len(self.pages) - 1}")
        return self.pages[number]


def empty_int8(rows: int, columns: int) -> Int8:
    """A matrix in 8 bits whose bytes are yet to be written."""
    data = np.empty(int8_bytes(rows, columns) + _ALIGNMENT, np.uint8)
    return Int8(_aligned(data).reshape(-1, panel_bytes(columns)), rows, columns)


def empty_int4(rows: int, columns: int) -> Int4:
    """The same in 4 bits."""
    data = np.empty(int4_bytes(rows, columns) + _ALIGNMENT, np.uint8)
    return Int4(_aligned(data).reshape(-1, int4_panel_bytes(columns)), rows, columns)


def _aligned(data: np.ndarray) -> np.ndarray:
    """All but `_ALIGNMENT` of some bytes, from a whole cache line on."""
    skipped = -data.ctypes.data % _ALIGNMENT
    return data[skipped : skipped + data.size - _ALIGNMENT]


class Step(NamedTuple):
    """A batch's tokens and their pages in one kind of layer, resolved once for all those layers."""

    address: int
    struct: library.Step
    arrays: tuple[np.ndarray, ...]
    page_size: int


def paged_step(batch: Batch, kind: str) -> Step:
    """The step of a batch whose keys and values stay in a cache."""
    pages = batch.pages_of(kind)
    return _step(batch.positions, batch.starts, pages.slots, pages.table, batch.page_size)


def packed_step(batch: Batch, heads: int, width: int, dtype: int) -> tuple[Step, Cache]:
    """The step of sequences side by side: they get pages of a cache of their own, from position 0 on."""
    lengths = np.diff(batch.starts)
    counts = -(-lengths // PACKED_PAGE)
    firsts = np.cumsum(counts) - counts
    index = np.arange(max(counts, default=0))
    table = np.where(index < counts[:, None], firsts[:, None] + index, -1)
    positions, slots = np.zeros(len(batch.tokens), np.int32), np.full(len(batch.tokens), -1, np.int32)
    for request in batch.requests:
        rows = batch.rows(request)
        positions[rows] = np.arange(lengths[request])
        slots[rows] = firsts[request] * PACKED_PAGE + positions[rows]
    cache = Cache(int(counts.sum()), PACKED_PAGE, heads, width, dtype)
    return _step(positions, batch.starts, slots, table, PACKED_PAGE), cache


def _step(
    positions: np.ndarray,
    starts: np.ndarray,
    slots: np.ndarray,
    table: np.ndarray,
    page_size: int,
) -> Step:
    arrays = tuple(np.ascontiguousarray(array, np.int32) for array in (positions, starts, slots, table))
    tokens, requests = len(positions), len(starts) - 1
    if len(slots) != tokens or len(table) != requests:
        raise BackendError(
            f"a step of {tokens} tokens and {requests} requests has {len(slots)} slots and {len(table)} rows of pages; "
            "as many is right"
        )
    addresses = [array.ctypes.data for array in arrays]
    struct = library.Step(*addresses, tokens, requests, table.shape[1])
    return Step(ctypes.addressof(struct), struct, arrays, page_size)


def each_span(matrices: Sequence[weakref.ref[Weight]], told: Callable[[tuple[int, int]], None]) -> None:
    """Tell of each span of memory of the matrices that there still are."""
    for reference in matrices:
        # Held while it is asked for; a model that is given up meanwhile is not kept for this.
        if (matrix := reference()) is not None:
            for span in matrix.spans:
                told(span)
            del matrix

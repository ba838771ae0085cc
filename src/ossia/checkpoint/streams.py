"""Tensors on their way to a file: each checked, cut into pieces that fit in memory, rounded where that is allowed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from ossia.checkpoint.tensors import Spec, Tensor, check_tensor
from ossia.errors import TensorError

__all__ = ["Progress", "Source", "Streamed", "each_once", "pieces", "to_bfloat16"]

Progress = Callable[[int, int], None]
"""Called with (bytes written, bytes to be written)."""

_PIECE_BYTES = 16 << 20


@dataclass(frozen=True, eq=False)
class Streamed:
    """A tensor that is made while it is written: its shape, its dtype ("mxfp4" or an array's), and its parts in order.

    Parts are cut along the first axis.
    """

    shape: tuple[int, ...]
    dtype: Any
    pieces: Callable[[], Iterator[Tensor]]


Source = Tensor | Streamed
"""What can be written."""


def each_once(tensors: Iterable[tuple[str, Source]], specs: Mapping[str, Spec]) -> Iterator[tuple[str, Source]]:
    """The tensors as they come, each checked; refuses unknown, repeated and, at the end, missing ones."""
    left = dict(specs)
    for name, tensor in tensors:
        if name not in left:
            what = "comes twice" if name in specs else "is unknown to this config"
            raise TensorError(f"{name} {what}; each of the {len(specs)} tensors once is right")
        check_tensor(name, tensor, left.pop(name))
        yield name, tensor
    if left:
        raise TensorError(f"{next(iter(left))} and {len(left) - 1} more missing; all of the {len(specs)} are right")


def pieces(tensor: Source) -> Iterator[tuple[int, Tensor]]:
    """A tensor cut along its first axis into parts of about 16 MiB, in order, each with the row that it starts at."""
    if isinstance(tensor, Streamed):
        row = 0
        for piece in tensor.pieces():
            yield row, piece
            row += piece.shape[0]
        return
    rows = max(1, _PIECE_BYTES * tensor.shape[0] // tensor.nbytes)
    for row in range(0, tensor.shape[0], rows):
        yield row, tensor[row : row + rows]


def to_bfloat16(values: np.ndarray, name: str, lossy: bool) -> np.ndarray:
    """`values` as bfloat16, rounded to nearest even; unless `lossy`, raises TensorError where that changes one."""
    if values.dtype == ml_dtypes.bfloat16:
        return values
    rounded = values.astype(ml_dtypes.bfloat16)
    if not lossy and not np.array_equal(rounded.astype(np.float32).view(np.uint32), values.view(np.uint32)):
        raise TensorError(f"{name} has float32 values that bfloat16 cannot hold; values it can, or lossy, are right")
    return rounded

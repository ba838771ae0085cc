"""Tensors on their way to a file: each checked, cut into pieces that fit in memory, rounded where that is allowed."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import ml_dtypes
import numpy as np

from ossia.checkpoint.tensors import Spec, Tensor, check_tensor
from ossia.errors import TensorError

__all__ = ["Progress", "chunks", "each_once", "to_bfloat16"]

Progress = Callable[[int, int], None]
"""Called with (bytes written, bytes to be written)."""

_CHUNK_BYTES = 16 << 20


def each_once(tensors: Iterable[tuple[str, Tensor]], specs: Mapping[str, Spec]) -> Iterator[tuple[str, Tensor]]:
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


def chunks(values: np.ndarray) -> Iterator[np.ndarray]:
    """`values` cut along its first axes into views of at most 16 MiB, in order."""
    if values.nbytes <= _CHUNK_BYTES or values.ndim == 1:
        yield values
    elif values[0].nbytes > _CHUNK_BYTES:
        for inner in values:
            yield from chunks(inner)
    else:
        rows = _CHUNK_BYTES // values[0].nbytes
        for start in range(0, len(values), rows):
            yield values[start : start + rows]


def to_bfloat16(values: np.ndarray, name: str, lossy: bool) -> np.ndarray:
    """`values` as bfloat16, rounded to nearest even; unless `lossy`, raises TensorError where that changes one."""
    if values.dtype == ml_dtypes.bfloat16:
        return values
    rounded = values.astype(ml_dtypes.bfloat16)
    if not lossy and not np.array_equal(rounded.astype(np.float32).view(np.uint32), values.view(np.uint32)):
        raise TensorError(f"{name} has float32 values that bfloat16 cannot hold; values it can, or lossy, are right")
    return rounded

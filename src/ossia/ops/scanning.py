"""Bytes looked at before they are used: the definition of it, for backends that have nothing quicker."""

from collections.abc import Sequence

import numpy as np

__all__ = ["Scanning"]


class Scanning:
    """The part of `ossia.ops.Ops` that looks at bytes."""

    def row_sums(self, matrices: Sequence[np.ndarray]) -> np.ndarray:
        sums = [matrix.view(np.uint64).sum(axis=1, dtype=np.uint64) for matrix in matrices]
        return np.concatenate([np.empty(0, np.uint64), *sums])

    def first_with(self, arrays: Sequence[np.ndarray], byte: int) -> int | None:
        return next((index for index, array in enumerate(arrays) if (array == byte).any()), None)

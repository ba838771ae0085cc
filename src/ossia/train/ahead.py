"""Batches made ahead of need by processes beside the one that trains."""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset

from ossia.train.rows import Rows

__all__ = ["Ahead"]

_EACH = 4
"""Batches that a process makes before the first of them is taken."""


class Ahead(Dataset[Rows]):
    """`make` by step, for a trainer that takes one step after the other, from any."""

    def __init__(self, make: Callable[[int], Rows], steps: int, processes: int) -> None:
        self._make, self._steps, self._processes = make, steps, processes
        self._next, self._batches = -1, iter(())

    def __getitem__(self, step: int) -> Rows:
        """The batch of a step, made here and now."""
        return self._make(step)

    def __call__(self, step: int, rank: int) -> Rows:
        """The batch of a step; the processes begin at the first one asked for."""
        if step != self._next:
            self._batches = self._from(step)
        self._next = step + 1
        return next(self._batches)

    def _from(self, step: int) -> Iterator[Any]:
        order: Any = range(step, self._steps)
        ahead = _EACH if self._processes else None
        return iter(DataLoader(self, None, sampler=order, num_workers=self._processes, prefetch_factor=ahead))

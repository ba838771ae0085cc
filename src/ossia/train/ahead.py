"""Batches made ahead of need by processes beside the one that trains."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader, Dataset

from ossia.train.rows import Rows

__all__ = ["Ahead"]

_EACH = 4
"""Batches that a process makes before the first of them is taken."""


class Ahead:
    """`make` by step, for a trainer that takes one step after the other, from any.

    `make` goes to the processes by pickle where the system starts them anew, as Python 3.14 does on Linux.
    """

    def __init__(self, make: Callable[[int], Rows], steps: int, processes: int) -> None:
        self._made, self._steps, self._processes = _Made(make), steps, processes
        self._next, self._batches = -1, iter(())

    def __call__(self, step: int, rank: int) -> Rows:
        """The batch of a step; the processes begin at the first one asked for."""
        if step != self._next:
            self._batches = self._from(step)
        self._next = step + 1
        return next(self._batches)

    def _from(self, step: int) -> Iterator[Any]:
        order: Any = range(step, self._steps)
        ahead = _EACH if self._processes else None
        return iter(DataLoader(self._made, None, sampler=order, num_workers=self._processes, prefetch_factor=ahead))


@dataclass(frozen=True)
class _Made(Dataset[Rows]):
    """All that a process needs to make a batch."""

    make: Callable[[int], Rows]

    def __getitem__(self, step: int) -> Rows:
        return self.make(step)

import pickle
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from ossia.train import ahead as module
from ossia.train.ahead import Ahead
from ossia.train.rows import Rows

pytestmark = pytest.mark.torch


def made(step: int) -> Rows:
    return Rows(*(np.full((1, 2), step, np.int32) for _ in Rows._fields))


@pytest.mark.parametrize("processes", [0, 2])
def test_steps_come_in_order_from_wherever_one_begins(processes: int):
    ahead = Ahead(made, 12, processes)
    assert [int(ahead(step, 0).tokens[0, 0]) for step in range(3, 12)] == list(range(3, 12))
    assert [int(ahead(step, 0).targets[0, 1]) for step in (7, 8, 2)] == [7, 8, 2]


class Sent(DataLoader[Rows]):
    """A loader of what its processes get where the system starts them anew."""

    def __init__(self, dataset: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(pickle.loads(pickle.dumps(dataset)), *arguments, **options)


def test_processes_may_be_started_anew(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "DataLoader", Sent)
    ahead = Ahead(made, 12, 0)
    assert [int(ahead(step, 0).tokens[0, 0]) for step in (3, 4, 7)] == [3, 4, 7]

import numpy as np
import pytest

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

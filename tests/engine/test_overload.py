"""The queue's limits, and the time to come again, with a clock of our own."""

import pytest

from ossia.engine import EngineConfig
from ossia.engine.overload import Overload
from ossia.errors import OverloadedError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def overload(clock: Clock) -> Overload:
    return Overload(EngineConfig(max_waiting=3, max_waiting_per_client=2), clock)


def test_nothing_is_refused_without_limits():
    Overload(EngineConfig()).check(10**6, 10**6, 1.0)


@pytest.mark.parametrize(
    ("waiting", "of_client", "message"),
    [
        (2, 1, None),
        (3, 0, "3 requests wait already, and at most 3 may; try again in 7 s"),
        (2, 2, "2 requests of this client wait already, and at most 2 may; try again in 7 s"),
    ],
)
def test_limits(waiting: int, of_client: int, message: str | None):
    limits = overload(Clock())
    if message is None:
        limits.check(waiting, of_client, 7.0)
        return
    with pytest.raises(OverloadedError, match=message) as caught:
        limits.check(waiting, of_client, 7.0)
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize(("every", "seconds"), [(0.01, 1.0), (5.0, 5.0), (500.0, 60.0)])
def test_the_time_to_come_again_is_that_between_endings(every: float, seconds: float):
    clock = Clock()
    limits = overload(clock)
    for _ in range(100):
        clock.now += every
        limits.ended()
    clock.now += every
    with pytest.raises(OverloadedError) as caught:
        limits.check(9, 0, 1000.0)
    assert caught.value.retry_after == seconds

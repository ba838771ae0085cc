"""Who was served how much, against sums kept beside it."""

from collections import Counter

import numpy as np
import pytest

from ossia.engine.fairness import Fairness

A, B, C = b"a", b"b", b"c"


def test_a_new_client_starts_where_the_least_served_is():
    fairness = Fairness()
    for client, tokens in ((A, 30), (B, 20)):
        fairness.arrive(client)
        fairness.serve(client, tokens)
    fairness.arrive(C)
    # B came when A had been served 30.
    assert [fairness.served(client) for client in (A, B, C)] == [30, 50, 30]


def test_who_goes_and_comes_back_is_not_forgiven():
    fairness = Fairness()
    fairness.arrive(A)
    fairness.arrive(B)
    fairness.serve(B, 70)
    fairness.leave(B)
    fairness.arrive(B)
    assert (fairness.served(A), fairness.served(B)) == (0, 70)


def test_when_nobody_is_left_all_begin_anew():
    fairness = Fairness()
    fairness.arrive(A)
    fairness.serve(A, 70)
    fairness.leave(A)
    fairness.arrive(B)
    fairness.arrive(A)
    assert (fairness.served(A), fairness.served(B)) == (0, 0)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_kept_is_bounded_by_who_is_here(seed: int):
    random, fairness, here = np.random.default_rng(seed), Fairness(), Counter[bytes]()
    names = [bytes([number]) for number in range(30)]
    for _ in range(2000):
        name = names[int(random.integers(len(names)))]
        if here[name] and random.random() < 0.5:
            fairness.leave(name)
            here[name] -= 1
        else:
            before = {other: fairness.served(other) for other in +here}
            fairness.arrive(name)
            here[name] += 1
            assert all(fairness.served(other) == served for other, served in before.items())
            assert fairness.served(name) >= min(before.values(), default=0)
        if here[name]:
            fairness.serve(name, int(random.integers(0, 50)))
        fairness.audit(+here)

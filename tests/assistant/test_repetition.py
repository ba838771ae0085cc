"""Circles are told from long texts that repeat themselves a little."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.assistant.repetition import EVERY, Loop, Repetition

LOOP = Loop(tokens=256, times=8)


def noticed_after(tokens: list[int], cut: int = 1) -> int | None:
    """How many tokens had come when the circle was noticed."""
    watch = Repetition(LOOP)
    for start in range(0, len(tokens), cut):
        if watch.push(tokens[start : start + cut]):
            return min(start + cut, len(tokens))
    return None


@pytest.mark.parametrize("period", [1, 2, 7, 31, 32])
def test_a_loop_is_noticed_soon(period: int):
    start = random.Random(period).choices(range(100), k=300)
    unit = list(range(1000, 1000 + period))
    found = noticed_after(start + unit * (2000 // period))
    assert found is not None
    assert found <= 300 + LOOP.tokens + EVERY + period


def test_a_longer_period_than_fits_the_times_is_no_loop():
    assert noticed_after(list(range(33)) * 60) is None


def test_a_loop_that_ends_in_time_is_none():
    assert noticed_after([5] * LOOP.tokens + [6]) is None


def test_counting_is_no_loop():
    assert noticed_after([token for n in range(1000) for token in (7, n, 8)]) is None


@given(st.lists(st.integers(0, 2), max_size=80), st.integers(1, 8), st.integers(1, 40))
def test_as_the_definition_says(start: list[int], period: int, cut: int):
    tokens = start + [index % period for index in range(700)]
    found = noticed_after(tokens, cut)
    assert found is not None
    window = tokens[:found][-LOOP.tokens :]
    periods = range(1, LOOP.tokens // LOOP.times + 1)
    assert any(all(window[i] == window[i - p] for i in range(p, len(window))) for p in periods)

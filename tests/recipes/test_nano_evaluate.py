import json
from random import Random

import pytest

from ossia.harmony import Effort
from recipes.nano.arithmetic import problem
from recipes.nano.evaluate import RESULTS, interval, right
from recipes.nano.weather import weather


@pytest.mark.parametrize(
    # Wilson's interval at 95 %, as tables have it.
    ("hits", "count", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962), (196, 200, 0.9497, 0.9922)],
)
def test_intervals(hits: int, count: int, low: float, high: float):
    assert interval(hits, count) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("<|channel|>final<|message|>1776<|return|>", True),
        ("<|channel|>analysis<|message|>1<|end|><|start|>assistant<|channel|>final<|message|>1776<|return|>", True),
        ("<|channel|>final<|message|>1777<|return|>", False),
        ("<|channel|>final<|message|>1776", False),
        ("1776<|return|>", False),
        ("<|channel|>analysis<|message|>1776<|return|>", False),
    ],
)
def test_an_answer_counts_in_the_final_channel_only(text: str, fine: bool):
    assert right(problem("*", 37, 48), text) == fine


def test_a_call_counts_with_its_exact_arguments():
    one = weather(Random(0), held=True)
    assert one.tool is not None
    call = f" to=functions.get_weather<|channel|>commentary <|constrain|>json<|message|>{one.tool.arguments}<|call|>"
    assert right(one, "<|channel|>analysis<|message|>x<|end|><|start|>assistant" + call)
    assert not right(one, call.replace('"city"', '"town"'))
    assert not right(one, call.removesuffix("<|call|>"))


def test_the_bar_is_met():
    # What the embedded model is for; measured by the recipe on held-out problems.
    scores = {(score["cell"], score["effort"]): score for score in json.loads(RESULTS.read_text("utf-8"))["scores"]}
    bar = [f"{kind} {size}" for kind in ("addition", "subtraction") for size in (2, 3, 4, 5)] + ["multiplication 2x2"]
    for cell in bar:
        high, low = scores[cell, Effort.HIGH], scores[cell, Effort.LOW]
        assert high["count"] >= 200
        assert high["right"] / high["count"] >= 0.95, cell
        assert scores[cell, Effort.MEDIUM]["right"] > low["right"] + high["count"] / 4, cell

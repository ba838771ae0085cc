"""JSON's own words."""

import doctest

import pytest

from ossia import json_words
from ossia.json_words import found, kind, shown


def test_the_examples():
    assert doctest.testmod(json_words).failed == 0


@pytest.mark.parametrize(
    ("value", "word", "text"),
    [
        (None, "null", "null"),
        (False, "boolean", "false"),
        (3, "number", "the number 3"),
        (float("nan"), "number", "the number NaN"),
        ("a\n", "string", r'the string "a\n"'),
        ((), "list", "the list []"),
        ({"a": None}, "object", 'the object {"a": null}'),
    ],
)
def test_kinds(value: object, word: str, text: str):
    assert kind(value) == word
    assert found(value) == text


def test_nothing_is_too_long_too_deep_or_too_strange():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert found(deep) == "the list …"
    assert found(10**5000) == "the number …"
    assert shown({(1, 2): 3}) == "…"
    assert len(shown("x" * 1000)) == 80
    assert found(b"x") == "the bytes \"b'x'\""

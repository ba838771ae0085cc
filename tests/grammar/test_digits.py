import json

import pytest

from ossia.grammar.digits import Digits, wants_long_numbers


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("", 64), ("{", 64), ("1", 63), ("-12", 62), ("12.", 64), ("12.3", 63), ("1e", 2), ("1E-", 2), ("1e+5", 1),
        ("1e55", 0), ("1e55,", 64), ('"123', 64), ('"\\"123', 64), ('"1\\\\"4', 63), ("true", 64), ("false1", 63),
        ("9" * 70, 0), ('"e"5', 63),
    ],
)  # fmt: skip
def test_how_many_digits_may_come(text: str, left: int):
    assert Digits().after(text.encode()).left == left
    step = Digits()
    for byte in text.encode():
        step = step.after(bytes([byte]))
    assert step == Digits().after(text.encode())


def test_the_largest_number_is_one():
    largest = json.loads("9" * 64 + "." + "9" * 64 + "e" + "9" * 2)
    assert largest < float("inf")


@pytest.mark.parametrize(
    ("schema", "long"),
    [
        ({"minimum": 0, "maximum": 1e6}, False),
        ({"properties": {"a": {"const": 1e70}}}, True),
        ({"enum": [-(10**64)]}, True),
        ({"multipleOf": 1e-70}, True),
        (True, False),
        ({"anyOf": [{"const": "1e70"}, False]}, False),
    ],
)
def test_schemas_with_long_numbers(schema: object, long: bool):
    assert wants_long_numbers(schema) is long

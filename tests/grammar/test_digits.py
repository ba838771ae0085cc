import json
import random
from decimal import Decimal

import pytest

from ossia.grammar.digits import Digits, inexact


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
    ("value", "found"),
    [
        (2**53, None), (-(2**53), None), (2**53 + 1, 2**53 + 1), (12345678901234567890, 12345678901234567890),
        (0.1, None), (1e22, None), (1e-22, None), (1e23, 1e23), (6.02214076e23, None), (123456789.123456789,) * 2,
        (True, None), ("9007199254740993", None), ([1, {"a": [2, 1e-30]}], 1e-30), ({"a": 10**400}, 10**400),
    ],
)  # fmt: skip
def test_numbers_that_a_mask_would_change(value: object, found: object):
    assert inexact(value) == found


def test_what_is_kept_is_read_with_one_rounding():
    rng, kept = random.Random(4), 0
    for _ in range(2000):
        value = rng.choice(
            [rng.uniform(-1e3, 1e3), round(rng.uniform(-1e6, 1e6), 3), rng.random() * 10.0 ** rng.randint(-40, 40)]
        )
        value = float(f"{value:.{rng.randint(1, 17)}g}")
        if inexact(value) is None:
            _, digits, power = Decimal(repr(value)).normalize().as_tuple()
            whole, scale = float(int("".join(map(str, digits)))), 10.0 ** abs(int(power))
            assert abs(value) == (whole * scale if int(power) > 0 else whole / scale)
            kept += 1
    assert 500 < kept < 1900

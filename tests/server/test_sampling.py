"""Parameters that OpenAI's APIs spell alike."""

from types import SimpleNamespace

import pytest

from ossia.engine import SamplingParams
from ossia.server.faults import RefusedError
from ossia.server.sampling import PLAIN, biases, plain, reasoning_limit, stop_strings


def test_plain_fields_are_those_of_the_engine():
    body = SimpleNamespace(**dict.fromkeys(PLAIN), other=5)
    assert plain(body) == {}
    body.temperature, body.seed = 0.0, 0
    assert SamplingParams.from_dict(plain(body)) == SamplingParams(temperature=0.0, seed=0)


def test_biases_by_id():
    assert biases({"5": 1.5, "0": -2}) == {5: 1.5, 0: -2}
    for twice in ("05", "5" * 5000, "+5", "\u0665"):
        with pytest.raises(RefusedError, match="token ids such as 5 are right"):
            biases({"5": 1, twice: 2})
    for key in ("x", "-1", "1.0", "", "\u0665"):
        with pytest.raises(RefusedError, match="token ids"):
            biases({key: 1})


def test_stop_strings():
    assert stop_strings(None) == stop_strings([]) == ()
    assert stop_strings("a") == stop_strings(["a"]) == ("a",)
    for stop, param in (("", "stop"), (["a", ""], "stop[1]"), (["a"] * 17, "stop")):
        with pytest.raises(RefusedError, match=r"at most 16|at least one character") as refused:
            stop_strings(stop)
        assert refused.value.param == param


def test_bounds_on_the_reasoning():
    assert reasoning_limit({"a": None, "b": None}) == (None, "a")
    assert reasoning_limit({"a": None, "b": 0}) == (0, "b")
    assert reasoning_limit({"a": 5, "b": 5}) == (5, "a")
    for given, param in (({"a": None, "b": -1}, "b"), ({"a": 1, "b": 2}, "a")):
        with pytest.raises(RefusedError) as refused:
            reasoning_limit(given)
        assert refused.value.param == param

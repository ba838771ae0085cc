"""Parameters that OpenAI's APIs spell alike."""

from types import SimpleNamespace

import pytest

from ossia.engine import SamplingParams
from ossia.server.faults import RefusedError
from ossia.server.sampling import PLAIN, biases, plain, stop_strings


def test_plain_fields_are_those_of_the_engine():
    body = SimpleNamespace(**dict.fromkeys(PLAIN), other=5)
    assert plain(body) == {}
    body.temperature, body.seed = 0.0, 0
    assert SamplingParams.from_dict(plain(body)) == SamplingParams(temperature=0.0, seed=0)


def test_biases_by_id():
    assert biases({"5": 1.5, "006": -2}) == {5: 1.5, 6: -2}
    for key in ("x", "-1", "1.0", "", "\u0665"):
        with pytest.raises(RefusedError, match="token ids"):
            biases({key: 1})


def test_stop_strings():
    assert stop_strings(None) == stop_strings([]) == ()
    assert stop_strings("a") == stop_strings(["a"]) == ("a",)
    for stop in ("", ["a", ""], ["a"] * 17):
        with pytest.raises(RefusedError, match="at most 16"):
            stop_strings(stop)

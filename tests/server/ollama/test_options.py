"""Options and lengths of time, as Ollama's clients write them."""

import pytest
from ollama import Options as TheirOptions

from ossia.server.faults import RefusedError
from ossia.server.ollama.options import Options, keep_alive_of, options_of, sampling_of


def test_every_option_that_the_package_knows_is_known():
    assert set(TheirOptions.model_fields) <= set(Options.__struct_fields__)


def test_neutral_values_ask_for_nothing():
    neutral = {
        "repeat_penalty": 1.0,
        "tfs_z": 1.0,
        "typical_p": 1.0,
        "mirostat": 0,
        "repeat_last_n": 64,
        "num_thread": 4,
    }
    assert sampling_of(options_of(neutral)) == ({}, ())


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, None), (0, 0), (-1, -1), (30, 30), (1.5, 1.5), ("0", 0), ("-1", -1), ("10", 10), ("5m", 300),
        ("1h30m", 5400), ("-1m", -60), ("300ms", 0.3), (" 5s ", 5),
    ],
)  # fmt: skip
def test_lengths_of_time(given: object, seconds: float | None):
    assert keep_alive_of(given) == seconds  # type: ignore[arg-type]


@pytest.mark.parametrize("given", ["soon", "", "5 minutes", "m", "nan", "inf", float("nan")])
def test_what_is_no_length_of_time(given: object):
    with pytest.raises(RefusedError, match="5m"):
        keep_alive_of(given)  # type: ignore[arg-type]

"""What the bench of decoding makes of its figures."""

import pytest

from bench import decode

GB = 1e9


def found(step: float, count: float, batch: int = 1) -> dict[str, float]:
    return {
        "batch": batch,
        "decode_tokens_per_second": batch / step,
        "decode_bytes_per_step": count,
        "read_bandwidth_bytes_per_second": 20 * GB,
    }


@pytest.mark.parametrize(("seconds", "grown"), [(0.2, 1.0), (0.25, 1.5), (0.1, 0.0)])
def test_growth_is_added_time_over_that_of_the_added_bytes(seconds: float, grown: float):
    assert decode.growth(found(0.1, 2 * GB), found(seconds, 4 * GB)) == pytest.approx(grown)
    assert decode.growth(found(0.1, 2 * GB, batch=4), found(seconds, 4 * GB, batch=4)) == pytest.approx(grown)


def test_nothing_added_has_no_growth():
    assert decode.growth(found(0.1, 2 * GB), found(0.1, 2 * GB)) is None

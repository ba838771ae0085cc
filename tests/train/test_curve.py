from pathlib import Path

import numpy as np
import pytest

from ossia.train.curve import smoothed, write_curve


def test_smoothing_is_the_mean_of_the_last_few():
    losses = [4.0, 2.0, 6.0, 8.0]
    assert smoothed(losses, 2).tolist() == [4.0, 3.0, 4.0, 7.0]
    assert smoothed(losses, 9).tolist() == [4.0, 3.0, 4.0, 5.0]
    assert smoothed([], 3).size == 0


@pytest.mark.parametrize("count", [1, 300])
def test_a_picture_is_written(tmp_path: Path, count: int):
    write_curve(tmp_path / "loss.png", np.geomspace(5.0, 0.1, count).tolist(), {"MXFP4": 1})
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")

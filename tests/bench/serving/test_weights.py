"""The weights that servers and engines are compared with."""

from bench.serving.weights import NANO, described


def test_the_model_is_described():
    assert described(NANO).startswith("a random one of 4 layers, width 128, 8 experts and")

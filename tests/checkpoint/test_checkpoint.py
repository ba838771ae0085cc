import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ossia.checkpoint import Checkpoint
from ossia.checkpoint.checkpoint import LazyTensors
from tests.checkpoint.models import SMALL


def test_a_tensor_is_made_when_it_is_asked_for_and_not_before():
    made: list[str] = []

    def make() -> np.ndarray:
        made.append("a")
        return np.zeros(3)

    tensors = LazyTensors({"a": make, "b": make})
    assert list(tensors) == ["a", "b"]
    assert len(tensors) == 2
    assert "a" in tensors
    assert "c" not in tensors
    assert made == []
    assert tensors["a"].shape == (3,)
    assert made == ["a"]
    with pytest.raises(KeyError):
        tensors["c"]


def test_a_checkpoint_cannot_be_changed():
    opened = Checkpoint(
        path=Path("x"), config=SMALL, layout="gguf", experts="mxfp4", tensors=LazyTensors({}), stored={}, bytes=0
    )
    assert opened.generation == {}
    with pytest.raises(dataclasses.FrozenInstanceError):
        opened.layout = "ollama"  # type: ignore[misc]

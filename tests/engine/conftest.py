"""The models that the engine's tests share."""

import pytest

from ossia.engine import LoadedModel
from ossia.ops import make_ops
from tests.engine.counting import counting_model
from tests.engine.models import load, small_config


@pytest.fixture(scope="session")
def reference_model() -> LoadedModel:
    return load(make_ops("reference"), small_config())


@pytest.fixture(scope="session")
def counting() -> LoadedModel:
    return counting_model()

"""The models that tests of the command line run."""

from pathlib import Path

import pytest

from tests.cli.tiny import write_tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights, two layers and 1,009 tokens."""
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny")

"""The models that tests of the command line run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ossia.pipeline import Model, load
from tests.cli.tiny import VOCABULARY, write_tiny
from tests.scripted import ScriptedEngine

Scripted = Callable[..., ScriptedEngine]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights, two layers and 1,009 tokens."""
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def scripted(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """Makes the command line's model say these answers, whatever it is asked; gives the engine that says them."""
    model = load(str(tiny), backend="reference")

    def say(*answers: str, **options: int) -> ScriptedEngine:
        engine = ScriptedEngine(VOCABULARY, *answers, **options)

        def loaded(name: str, **settings: object) -> Model:
            engine.name, engine.settings = name, settings
            model.engine = engine  # type: ignore[assignment]
            return model

        monkeypatch.setattr("ossia.cli._session.load", loaded)
        return engine

    return say

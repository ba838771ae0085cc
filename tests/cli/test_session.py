"""A conversation that goes on."""

import os
import signal
from argparse import Namespace
from pathlib import Path

import pytest

from ossia.assistant import Event
from ossia.cli._session import SAMPLING, Session, interruptible
from ossia.engine import Engine, EngineConfig
from ossia.errors import ContextLengthError
from ossia.harmony import Effort
from tests.cli.tiny import CONTEXT

OPTIONS = dict.fromkeys(
    [*SAMPLING, "precision", "threads", "kv_cache_dtype", "context", "effort", "system", "date"]
) | {
    "backend": "reference",
    "quiet": False,
}


def ignore(event: Event) -> None:
    pass


def test_what_was_generated_is_found_in_the_cache(tiny: Path):
    session = Session.open(str(tiny), Namespace(**OPTIONS | {"max_tokens": 20, "seed": 4}))
    first = session.ask("Hello", ignore)
    second = session.ask("Again", ignore)
    assert first.usage.cached_tokens == 0
    assert second.usage.cached_tokens > 100, "the system's and the user's first message at least"
    assert second.usage.prompt_tokens > first.usage.prompt_tokens


def test_an_error_leaves_the_conversation_as_it_was(tiny: Path):
    session = Session.open(str(tiny), Namespace(**OPTIONS | {"max_tokens": 5}))
    session.ask("Hello", ignore)
    before = list(session.messages)
    with pytest.raises(ContextLengthError, match=r"a shorter prompt or a smaller --max-tokens is right$"):
        session.ask("word " * 2 * CONTEXT, ignore)
    assert session.messages == before
    session.ask("Still there?", ignore)


def test_how_far_a_long_prompt_is_read_is_told(tiny: Path):
    session = Session.open(str(tiny), Namespace(**OPTIONS | {"max_tokens": 3}))
    config = EngineConfig(max_requests=1, max_step_tokens=64)
    session.model.engine = Engine(session.model.loaded.model, config, session.model.engine._compile_grammar)
    seen: list[tuple[int, int]] = []
    turn = session.ask("word " * 150, ignore, reading=lambda done, total: seen.append((done, total)))
    total = turn.usage.prompt_tokens
    assert seen == [(done, total) for done in range(64, total, 64)]
    assert len(seen) >= 2


def test_settings_are_those_in_effect(tiny: Path):
    session = Session.open(str(tiny), Namespace(**OPTIONS | {"temperature": 0.5, "effort": "low"}))
    assert session.settings() == {
        "path": str(tiny),
        "backend": "reference",
        "precision": "exact",
        "kv_cache_dtype": "f32",
        "threads": None,
        "context": CONTEXT,
        "effort": "low",
        "system": None,
        "date": None,
        "temperature": 0.5,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "seed": None,
        "max_tokens": None,
    }
    assert session.effort is Effort.LOW


def test_the_first_ctrl_c_asks_and_the_second_interrupts():
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as stopped:
        assert not stopped()
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_context_that_is_not_the_models_is_said(tiny: Path):
    session = Session.open(str(tiny), Namespace(**OPTIONS | {"context": 200}))
    assert session.context == "200 of 512 tokens"
    with pytest.raises(ContextLengthError, match=r"or --context with up to the 512 that the model was made for$"):
        session.ask("word " * 400, ignore)
    assert Session.open(str(tiny), Namespace(**OPTIONS)).context == "512 tokens"

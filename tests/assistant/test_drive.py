"""The driver for an engine at hand: what it hands over, and when it lets go."""

import pytest

from ossia.assistant import CallTool, Ended, Generate, drive, opening, turn
from ossia.engine import SamplingParams
from ossia.harmony import Conversation, Effort, Message
from tests.assistant.test_turn import collected
from tests.cli.tiny import VOCABULARY
from tests.scripted import ScriptedEngine

ASKED = Conversation((*opening(Effort.LOW), Message("user", "Hello")))


class Noting(ScriptedEngine):
    """Takes a grammar too, and remembers it."""

    grammars: tuple[str | None, ...] = ()

    def add(self, prompt, params, grammar=None, rendered=False):
        self.grammars += (grammar,)
        return super().add(prompt, params)


def test_a_grammar_goes_to_the_engine():
    def steps():
        yield Generate((1, 2), SamplingParams(), "source")

    engine = Noting(VOCABULARY, "<|channel|>final<|message|>Hi<|return|>")
    list(drive(steps(), engine))  # type: ignore[arg-type]
    assert engine.grammars == ("source",)


def test_events_come_out_and_the_turn_is_returned():
    engine = ScriptedEngine(VOCABULARY, "<|channel|>final<|message|>Hi<|return|>")
    steps = drive(turn(ASKED, VOCABULARY), engine)  # type: ignore[arg-type]
    events, done = collected(steps)
    assert done.answer == "Hi"
    assert isinstance(events[-1], Ended)


def test_what_nobody_can_answer_is_a_mistake():
    def steps():
        yield CallTool(Message("assistant", "{}", recipient="functions.f"))

    with pytest.raises(TypeError, match="nothing here can answer"):
        list(drive(steps(), ScriptedEngine(VOCABULARY)))  # type: ignore[arg-type]

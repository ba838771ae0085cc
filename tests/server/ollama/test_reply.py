"""Events to lines, and lines to a whole."""

from datetime import datetime

from ossia.assistant import Kind, Text
from ossia.server.ollama.reply import Lines, now, together
from ossia.server.turns import Opened
from tests.cli.tiny import VOCABULARY


def test_two_messages_of_a_kind_have_an_empty_line_between_them():
    lines = Lines(VOCABULARY, chat=True)
    said = (Opened(Kind.PREAMBLE), Text(Kind.PREAMBLE, "a"), Opened(Kind.ANSWER), Text(Kind.ANSWER, "b"))
    parts = [part for event in said for part in lines.of(event)]
    assert together(parts)["message"] == {"role": "assistant", "content": "a\n\nb"}


def test_the_time_is_one():
    assert datetime.fromisoformat(now()).tzinfo is not None

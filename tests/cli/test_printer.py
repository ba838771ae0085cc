"""A turn on a terminal and in a pipe."""

import io

import pytest

from ossia.assistant import Drawn, Ended, Event, Kind, Text
from ossia.cli._printer import Printer
from ossia.harmony import Message
from tests.cli.tiny import VOCABULARY
from tests.scripted import ids

TURN: list[Event] = [
    Text(Kind.REASONING, "Eas"),
    Text(Kind.REASONING, "y."),
    Ended(Message("assistant", "Easy.", channel="analysis")),
    Text(Kind.ANSWER, "It is "),
    Text(Kind.ANSWER, "4."),
    Ended(Message("assistant", "It is 4.", channel="final")),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)


def shown(*events: Event, answers: io.StringIO, remarks: io.StringIO, **options) -> tuple[str, str]:
    printer = Printer(answers, remarks, **options)
    for event in events:
        printer.show(event)
    printer.finish()
    return answers.getvalue(), remarks.getvalue()


def on_a_terminal(*events: Event, **options) -> str:
    terminal = Terminal()
    return shown(*events, answers=terminal, remarks=terminal, **options)[0]


def in_pipes(*events: Event, **options) -> tuple[str, str]:
    return shown(*events, answers=io.StringIO(), remarks=io.StringIO(), **options)


def dim(text: str) -> str:
    return f"\x1b[2m{text}\x1b[22m"


def test_on_a_terminal_reasoning_is_dimmed_and_set_apart():
    assert on_a_terminal(*TURN) == f"{dim('Eas')}{dim('y.')}\n\nIt is 4.\n"


def test_in_pipes_it_is_plain():
    assert in_pipes(*TURN) == ("It is 4.\n", "Easy.\n")


def test_without_colours(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert on_a_terminal(*TURN) == "Easy.\n\nIt is 4.\n"


def test_lines_are_ended_once():
    assert in_pipes(Text(Kind.ANSWER, "4\n"), TURN[-1]) == ("4\n", "")
    assert in_pipes() == ("", "")


def test_a_terminal_is_kept_from_obeying_the_model():
    evil = "\x1b]0;title\x07\x9b2J\u202e"
    assert on_a_terminal(Text(Kind.ANSWER, evil)) == "\\x1b]0;title\\x07\\x9b2J\\u202e\n"
    assert on_a_terminal(Text(Kind.REASONING, evil)) == dim("\\x1b]0;title\\x07\\x9b2J\\u202e") + "\n\n"
    assert "\x1b]" not in on_a_terminal(Text(Kind.CALL, "{}", evil))
    assert "\x1b]" not in on_a_terminal(Drawn(tuple(ids(VOCABULARY, evil))), raw=VOCABULARY)
    assert in_pipes(Text(Kind.ANSWER, evil)) == (evil + "\n", "")


def test_each_stream_is_judged_by_itself():
    evil = Text(Kind.ANSWER, "\x1b[2J")
    assert shown(evil, answers=io.StringIO(), remarks=Terminal()) == ("\x1b[2J\n", "")
    assert (
        shown(Text(Kind.REASONING, "\x1b[2J"), answers=io.StringIO(), remarks=Terminal())[1] == dim("\\x1b[2J") + "\n"
    )


def test_calls_preambles_and_others():
    assert in_pipes(
        Text(Kind.PREAMBLE, "One moment."),
        Ended(Message("assistant", "One moment.", channel="commentary")),
        Text(Kind.CALL, '{"a"', "functions.f"),
        Text(Kind.CALL, ": 1}", "functions.f"),
        Ended(Message("assistant", '{"a": 1}', channel="commentary", recipient="functions.f")),
        Text(Kind.OTHER, "Thanks"),
    ) == ("", 'One moment.\ncall to functions.f: {"a": 1}\nThanks\n')


def test_quiet():
    printer = Printer(answers := io.StringIO(), remarks := io.StringIO(), quiet=True)
    for event in TURN:
        printer.show(event)
    printer.remark("[stopped]")
    assert (answers.getvalue(), remarks.getvalue()) == ("It is 4.\n", "")
    printer.complain("no")
    assert remarks.getvalue() == "ossia: no\n"


def test_raw_is_the_tokens():
    text = "<|channel|>final<|message|>4, schön<|return|>"
    tokens = ids(VOCABULARY, text)
    events = [Drawn((token,)) for token in tokens]
    assert in_pipes(*events, *TURN, raw=VOCABULARY) == (text + "\n", "")


def test_a_remark_stands_on_its_own_line():
    printer = Printer(answers := io.StringIO(), remarks := io.StringIO())
    printer.show(Text(Kind.REASONING, "Hm"))
    printer.remark("[stopped]")
    assert (answers.getvalue(), remarks.getvalue()) == ("", "Hm\n[stopped]\n")


def test_a_person_sees_that_the_prompt_is_read():
    terminal = Terminal()
    printer = Printer(terminal, terminal)
    printer.wait()
    printer.show(Text(Kind.ANSWER, "4"))
    printer.finish()
    assert terminal.getvalue() == f"{dim('…')}\r\x1b[K4\n"
    printer = Printer(terminal := Terminal(), terminal)
    printer.reading(1, 2)
    assert terminal.getvalue() == "", "nobody was told to wait"
    printer.wait()
    printer.reading(512, 3000)
    printer.show(Text(Kind.ANSWER, "4"))
    told = dim("… 512 of the prompt's 3,000 tokens read")
    assert terminal.getvalue() == f"{dim('…')}\r\x1b[K{told}\r\x1b[K4"
    printer = Printer(answers := io.StringIO(), remarks := io.StringIO())
    printer.wait()
    assert (answers.getvalue(), remarks.getvalue()) == ("", "")


def test_an_encoding_that_lacks_a_character_does_not_end_the_answer():
    file = io.TextIOWrapper(io.BytesIO(), "ascii")
    printer = Printer(file, io.StringIO())
    printer.show(Text(Kind.ANSWER, "schön"))
    assert file.buffer.getvalue() == b"sch?n"  # type: ignore[attr-defined]

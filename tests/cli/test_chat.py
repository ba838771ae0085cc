"""`ossia chat`: what lines do to a conversation."""

import argparse
import errno
import io
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from ossia.cli import chat, main
from ossia.cli._printer import Printer
from ossia.cli._session import Session
from ossia.errors import ContextLengthError
from ossia.harmony import Conversation
from tests.cli.conftest import Scripted

FOUR = "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>It is 4.<|return|>"
SIX = "<|channel|>final<|message|>It is 6.<|return|>"


def lines(monkeypatch: pytest.MonkeyPatch, *said: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in said)))


def test_each_line_is_answered(scripted: Scripted, monkeypatch, capsys):
    engine = scripted(FOUR, SIX)
    lines(monkeypatch, "What is 2 + 2?", "", "And 3 + 3?")
    assert main(["chat"]) == 0
    assert capsys.readouterr() == ("It is 4.\nIt is 6.\n", "Easy.\n")
    answered = "What is 2 + 2?<|end|><|start|>assistant<|channel|>final<|message|>It is 4.<|end|>"
    assert answered in engine.prompts[1]
    assert "Easy." not in engine.prompts[1]


def test_run_without_a_prompt_at_a_terminal_is_a_chat(monkeypatch):
    asked = []

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(chat, "talk", lambda model, options: asked.append((model, options.effort)) or 0)
    assert main(["run", "--effort", "low"]) == 0
    assert main(["run", "nano"]) == 0
    assert asked == [("nano", "low"), ("nano", None)]


def test_effort_changes_the_next_prompt(scripted: Scripted, monkeypatch, capsys):
    engine = scripted(FOUR, SIX)
    lines(monkeypatch, "Hi", "/effort high", "Hi", "/effort", "/effort huge")
    assert main(["chat"]) == 0
    assert "Reasoning: medium" in engine.prompts[0]
    assert "Reasoning: high" in engine.prompts[1]
    said = capsys.readouterr().err
    assert "effort high\neffort high\nno effort is called 'huge'; none, low, medium, high are\n" in said


def test_clear_forgets(scripted: Scripted, monkeypatch):
    engine = scripted(FOUR, SIX)
    lines(monkeypatch, "First", "/clear", "Second")
    assert main(["chat"]) == 0
    assert "First" not in engine.prompts[1]
    assert "Second" in engine.prompts[1]


def test_instructions_can_be_set_and_taken_back(scripted: Scripted, monkeypatch):
    engine = scripted(FOUR, SIX)
    lines(monkeypatch, "/system Rhyme, please.", "Hi", "/system", "Hi")
    assert main(["chat"]) == 0
    assert "# Instructions\n\nRhyme, please." in engine.prompts[0]
    assert "# Instructions" not in engine.prompts[1]


def test_save_writes_the_conversation(scripted: Scripted, monkeypatch, tmp_path: Path, capsys):
    scripted(FOUR)
    file = tmp_path / "talk.json"
    lines(monkeypatch, "What is 2 + 2?", f"/save {file}", f"/save {file}", "/save", f"/save {tmp_path}/none/x")
    assert main(["chat", "--system", "Be brief."]) == 0
    saved = Conversation.from_json(json.loads(file.read_text("utf-8")))
    assert [(message.role, message.channel) for message in saved.messages] == [
        ("system", None),
        ("developer", None),
        ("user", None),
        ("assistant", "analysis"),
        ("assistant", "final"),
    ]
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"saved {file}",
        f"ossia: {file}: there is a file of this name already; another name is right",
        "/save needs a file's name",
        f"ossia: {tmp_path}/none/x: there is no folder {tmp_path}/none; a folder that exists is right",
    ]


@pytest.mark.parametrize(
    ("name", "complaint"), [("~nosuchuser/x", "'~nosuchuser/x' cannot be"), ("a\0b", r"'a\x00b' cannot be")]
)
def test_a_name_that_no_file_can_have_is_said_and_the_chat_goes_on(
    scripted: Scripted, monkeypatch, capsys, name: str, complaint: str
):
    engine = scripted(FOUR, SIX)
    lines(monkeypatch, "What is 2 + 2?", f"/save {name}", "And 3 + 3?")
    assert main(["chat", "-q"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "It is 4.\nIt is 6.\n"
    assert shown.err.startswith(f"ossia: {complaint} a file's name: ")
    assert shown.err.count("\n") == 1
    assert "It is 4." in engine.prompts[1]


def test_what_utf_8_cannot_write_is_saved_too(scripted: Scripted, monkeypatch, tmp_path: Path):
    scripted()
    lines(monkeypatch, "/system half \ud83d of a pair", f"/save {tmp_path / 'talk.json'}")
    assert main(["chat"]) == 0
    saved = json.loads((tmp_path / "talk.json").read_text("ascii"))
    assert "half \ud83d of a pair" in json.dumps(saved, ensure_ascii=False)
    assert [file.name for file in tmp_path.iterdir()] == ["talk.json"]


def test_a_file_that_cannot_be_written_whole_is_not_there(scripted: Scripted, monkeypatch, capsys, tmp_path: Path):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), ".talk.json.x.ossia-part")

    scripted()
    monkeypatch.setattr(tempfile, "mkstemp", full)
    lines(monkeypatch, f"/save {tmp_path / 'talk.json'}")
    assert main(["chat"]) == 0
    assert capsys.readouterr().err.endswith(f"ossia: {tmp_path / 'talk.json'}: No space left on device\n")
    assert list(tmp_path.iterdir()) == []


def test_help_lists_the_commands_and_unknown_ones_are_named(scripted: Scripted, monkeypatch, capsys):
    scripted()
    lines(monkeypatch, "/help", "/halp")
    assert main(["chat"]) == 0
    error = capsys.readouterr().err
    assert all(error.count(f"{command} ") >= 1 for command in chat.COMMANDS)
    assert "no command is called /halp; /effort, /system, " in error


def test_a_path_is_no_command(scripted: Scripted, monkeypatch):
    engine = scripted(FOUR)
    lines(monkeypatch, "/usr/bin/env is what?")
    assert main(["chat"]) == 0
    assert "<|message|>/usr/bin/env is what?<|end|>" in engine.prompts[0]


@pytest.mark.parametrize("word", ["/exit", "/quit", "/bye"])
def test_leaving(scripted: Scripted, monkeypatch, word: str):
    engine = scripted(FOUR)
    lines(monkeypatch, word, "Hi")
    assert main(["chat"]) == 0
    assert engine.prompts == []


def test_an_error_is_said_and_the_chat_goes_on(scripted: Scripted, monkeypatch, capsys):
    engine = scripted(FOUR)
    add = engine.add

    def once(*given, **options):
        monkeypatch.setattr(engine, "add", add)
        raise ContextLengthError("the prompt has 600 tokens; the context holds 512")

    monkeypatch.setattr(engine, "add", once)
    lines(monkeypatch, "Too long", "What is 2 + 2?")
    assert main(["chat"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "It is 4.\n"
    assert shown.err.startswith("ossia: the prompt has 600 tokens; the context holds 512; a shorter")
    assert "Too long" not in engine.prompts[0]


def test_a_reader_that_leaves_ends_the_chat(scripted: Scripted, monkeypatch):
    engine = scripted(FOUR, SIX)
    lines(monkeypatch, "What is 2 + 2?", "And 3 + 3?")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(["chat"]) == 141
    assert len(engine.prompts) == 1


def test_ctrl_c_stops_the_answer_and_not_the_chat(scripted: Scripted, monkeypatch, capsys):
    engine = scripted(FOUR, SIX)
    last = len(engine.script(FOUR)) - 3
    engine.before_step = lambda number: os.kill(os.getpid(), signal.SIGINT) if number == last else None
    lines(monkeypatch, "What is 2 + 2?", "And 3 + 3?")
    assert main(["chat"]) == 0
    shown = capsys.readouterr()
    assert "[stopped]" in shown.err
    partial, second = shown.out.splitlines()
    assert partial
    assert "It is 4.".startswith(partial)
    assert second == "It is 6."
    assert f"<|channel|>final<|message|>{partial}" in engine.prompts[1], "what was written stays in the history"


def test_a_call_is_shown_and_the_conversation_goes_on(scripted: Scripted, monkeypatch, capsys):
    engine = scripted("<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>", SIX)
    lines(monkeypatch, "What is 2 + 2?", "And 3 + 3?")
    assert main(["chat"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "It is 6.\n"
    assert "call to functions.f: {}\n" in shown.err
    assert "{}<|call|><|start|>user<|message|>And 3 + 3?<|end|>" in engine.prompts[1]


def test_verbose_shows_what_the_cache_saved(scripted: Scripted, monkeypatch, capsys):
    scripted(FOUR)
    lines(monkeypatch, "Hi")
    assert main(["chat", "-v"]) == 0
    assert "of them cached" in capsys.readouterr().err


def test_greeting_tells_what_is_in_effect(scripted: Scripted):
    scripted(FOUR)
    options = argparse.Namespace(
        quiet=False,
        **dict.fromkeys(["backend", "precision", "threads", "kv_cache_dtype", "context", "effort", "system", "date"]),
        **dict.fromkeys(["max_tokens", "temperature", "top_p", "top_k", "min_p", "seed"]),
    )
    session = Session.open("tiny", options)
    assert chat.greeting("tiny", session).startswith(
        "tiny: precision exact, context 512 tokens, effort medium\n/help lists"
    )
    assert chat.Chat(session, Printer(io.StringIO(), io.StringIO())).take("/exit") is False

"""Lines from a person at a terminal."""

import os
import select
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from ossia.cli import _prompt

CTRL_C, CTRL_D, ALT_ENTER, UP = "\x03", "\x04", "\x1b\r", "\x1b[A"


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        yield pipe


def test_lines_until_ctrl_d(keys: PipeInput):
    keys.send_text(f"one\rtwo{ALT_ENTER}lines\r{CTRL_D}")
    assert list(_prompt.read_lines([])) == ["one", "two\nlines"]


def test_ctrl_c_twice_leaves_and_once_does_not(keys: PipeInput, capsys):
    keys.send_text(f"half{CTRL_C}")
    lines = _prompt.read_lines([])
    keys.send_text("whole\r")
    assert next(lines) == "whole"
    assert capsys.readouterr().err == "ctrl-c once more, or ctrl-d, leaves\n"
    keys.send_text(CTRL_C)
    keys.send_text("and another\r")
    assert next(lines) == "and another"
    keys.send_text(CTRL_C)
    keys.send_text(CTRL_C)
    assert list(lines) == []


def test_the_history_is_kept_and_private(keys: PipeInput):
    keys.send_text(f"first\r{CTRL_D}")
    assert list(_prompt.read_lines([])) == ["first"]
    file = _prompt.history_file()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(FileHistory(file).load_history_strings()) == ["first"]


def test_where_it_cannot_be_kept_there_is_one_for_the_chat(tmp_path: Path, monkeypatch):
    (tmp_path / "ossia").write_text("in the way")
    assert isinstance(_prompt._history(), InMemoryHistory)


def test_a_user_without_a_home_has_no_history(monkeypatch, capsys):
    def homeless(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    assert isinstance(_prompt._history(), InMemoryHistory)
    said = "what you enter is not kept for later chats: Could not determine home directory.\n"
    assert capsys.readouterr().err == said


def test_without_the_variable_it_is_in_the_home(monkeypatch, tmp_path: Path):
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _prompt.history_file() == tmp_path / ".local" / "state" / "ossia" / "history"


@pytest.mark.parametrize(
    ("text", "names"), [("/e", ["/effort", "/exit"]), ("/", ["/clear", "/effort", "/exit"]), ("e", []), ("hi /e", [])]
)
def test_commands_are_completed_at_the_beginning(text: str, names: list[str]):
    completer = _prompt.Commands(["/exit", "/effort", "/clear"])
    assert [found.text for found in completer.get_completions(Document(text), CompleteEvent())] == names


def test_keys_do_not_appear_amidst_an_answer():
    person, terminal = os.openpty()
    with _prompt.unechoed(terminal):
        os.write(person, b"typed ahead\n")
        assert select.select([person], [], [], 0.1)[0] == []
    os.write(person, b"x")
    assert os.read(person, 10) == b"x", "echoed again"
    assert os.read(terminal, 100) == b"typed ahead\n", "and nothing is lost"
    os.close(person)
    os.close(terminal)

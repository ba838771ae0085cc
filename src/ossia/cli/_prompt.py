"""Lines from a person at a terminal."""

import os
import sys
import termios
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from ossia.cli._display import one_line

__all__ = ["Commands", "history_file", "read_lines", "unechoed"]


def read_lines(commands: Iterable[str]) -> Iterator[str]:
    """What is entered, until ctrl-d, or ctrl-c twice in a row. Alt-enter begins a new line."""
    session: PromptSession[str] = PromptSession(
        history=_history(),
        completer=Commands(commands),
        key_bindings=_bindings(),
        prompt_continuation=lambda width, number, soft: " " * width,
    )
    leaving = False
    while True:
        try:
            line = session.prompt(ANSI("\x1b[1m> \x1b[0m"))
        except KeyboardInterrupt:
            if leaving:
                return
            leaving = True
            print("ctrl-c once more, or ctrl-d, leaves", file=sys.stderr)
            continue
        except EOFError:
            return
        leaving = False
        yield line


class Commands(Completer):
    """Completes the commands at the beginning of a line."""

    def __init__(self, commands: Iterable[str]) -> None:
        self._commands = sorted(commands)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """The commands that begin as the line does."""
        text = document.text_before_cursor
        if text.startswith("/"):
            yield from (Completion(name, -len(text)) for name in self._commands if name.startswith(text))


@contextmanager
def unechoed(terminal: int) -> Iterator[None]:
    """Within it, keys that are pressed do not appear amidst an answer; they wait for the next prompt."""
    before = termios.tcgetattr(terminal)
    quiet = [*before]
    quiet[3] &= ~(termios.ECHO | termios.ECHONL)
    termios.tcsetattr(terminal, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def history_file() -> Path:
    """Where entered lines are kept. Source: XDG Base Directory Specification 0.8, `$XDG_STATE_HOME`.

    Raises RuntimeError where that is not set and the user has no home.
    """
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "ossia" / "history"


def _history() -> History:
    """The lines of earlier chats; of this one alone where they cannot be kept, which is said."""
    try:
        file = history_file()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        file.chmod(0o600)
    except (OSError, RuntimeError) as error:  # RuntimeError: nobody knows where this user's home is
        print(f"what you enter is not kept for later chats: {one_line(str(error))}", file=sys.stderr)
        return InMemoryHistory()
    return FileHistory(file)


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return bindings

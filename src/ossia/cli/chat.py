"""`ossia chat`: a conversation, line by line."""

import argparse
import io
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ossia.cli import _options
from ossia.cli._display import said
from ossia.cli._streams import text_of
from ossia.cli._writing import written
from ossia.errors import OssiaError, RequestError

if TYPE_CHECKING:
    from ossia.cli._printer import Printer
    from ossia.cli._session import Session

HELP = "Talk with a model; ctrl-c stops an answer, ctrl-d leaves."
EXAMPLE = "ossia chat nano --effort high"

COMMANDS = {
    "/effort": "LEVEL   how long it reasons: none, low, medium or high",
    "/system": "[TEXT]  instructions that precede the conversation; without a text, none",
    "/clear": "        forget what has been said",
    "/save": "FILE    write the conversation as JSON",
    "/help": "        this list",
    "/exit": "        leave, as ctrl-d does",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    _options.add_model(parser)
    _options.add_answering(parser)
    _options.add_running(parser)
    _options.add_showing(parser)


def run(options: argparse.Namespace) -> int:
    """Talk."""
    return talk(options.model, options)


def talk(model: str, options: argparse.Namespace) -> int:
    """Load the model and answer line after line, until the lines end."""
    from ossia.cli._printer import Printer
    from ossia.cli._session import Session

    session = Session.open(model, options)
    raw = session.model.vocabulary if options.raw else None
    printer = Printer(sys.stdout, sys.stderr, quiet=options.quiet, raw=raw)
    chat = Chat(session, printer, options.verbose)
    if sys.stdin.isatty() and sys.stdout.isatty():
        if not options.quiet:
            print(greeting(model, session), file=sys.stderr)
        _with_a_person(chat)
    else:
        all(chat.take(line) for line in _piped())
    return 0


def greeting(model: str, session: "Session") -> str:
    """What a chat begins with."""
    settings = session.settings()
    return (
        f"{model}: precision {settings['precision']}, context {session.context}, effort {settings['effort']}\n"
        "/help lists the commands; ctrl-c stops an answer, ctrl-d leaves"
    )


class Chat:
    """What a line does to a conversation."""

    def __init__(self, session: "Session", printer: "Printer", verbose: bool = False) -> None:
        self._session = session
        self._printer = printer
        self._verbose = verbose

    def take(self, line: str) -> bool:
        """Answer a line or obey it; False when it says to leave. Errors are said, and the chat goes on."""
        word, _, rest = line.strip().partition(" ")
        try:
            if word in ("/exit", "/quit", "/bye"):
                return False
            if word.startswith("/") and word[1:].isalpha():
                self._printer.remark(self._obey(word, rest.strip()))
            elif word:
                self._answer(line)
        except BrokenPipeError:  # whoever read the answers has left
            raise
        except (OssiaError, OSError) as error:
            self._printer.finish()
            self._printer.complain(said(error))
        return True

    def _answer(self, line: str) -> None:
        from ossia.cli._answer import Clock, details, remarks

        clock = Clock()
        self._printer.wait()
        turn = self._session.ask(line, clock.noting(self._printer.show), reading=self._printer.reading)
        self._printer.finish()
        for remark in remarks(turn):
            self._printer.remark(remark)
        if self._verbose:
            self._printer.remark(details(self._session, turn, clock))

    def _obey(self, word: str, rest: str) -> str:
        """Carry out a command; returns what to say about it."""
        match word:
            case "/effort":
                return self._set_effort(rest)
            case "/system":
                self._session.system = rest or None
                return "instructions set" if rest else "no instructions"
            case "/clear":
                self._session.messages.clear()
                return "forgotten"
            case "/save":
                return self._save(rest)
            case "/help":
                return "\n".join(f"{name:8} {words}" for name, words in COMMANDS.items())
        return f"no command is called {word}; {', '.join(COMMANDS)} are"

    def _set_effort(self, level: str) -> str:
        from ossia.harmony import Effort

        if level not in tuple(Effort):
            return (
                f"no effort is called {level!r}; {', '.join(Effort)} are" if level else f"effort {self._session.effort}"
            )
        self._session.effort = Effort(level)
        return f"effort {level}"

    def _save(self, name: str) -> str:
        if not name:
            return "/save needs a file's name"
        # All but ASCII escaped: what was said may have halves of surrogate pairs in it, which UTF-8 cannot write.
        text = json.dumps(self._session.conversation.to_json(), indent=2)
        try:
            path = Path(name).expanduser()
            with written(path, over=False) as file:
                file.write(f"{text}\n".encode("ascii"))
        except OssiaError:
            raise
        except (RuntimeError, ValueError) as error:  # no such user's home; a zero byte, or what no name can have
            raise RequestError(f"{name!r} cannot be a file's name: {error}; another name is right") from error
        return f"saved {path}"


def _piped() -> Iterator[str]:
    """Lines from a file or a pipe, or from a person whose answers go into one."""
    sign = "> " if sys.stdin.isatty() else ""
    lines: Iterable[str] = sys.stdin
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
        lines = (text_of(line.encode("utf-8", "surrogateescape"), "a line") for line in sys.stdin)
    print(sign, end="", file=sys.stderr, flush=True)
    for line in lines:
        yield line.rstrip("\n")
        print(sign, end="", file=sys.stderr, flush=True)


def _with_a_person(chat: Chat) -> None:
    """Lines from a terminal, with history and completion, until ctrl-d or a second ctrl-c."""
    from ossia.cli._prompt import read_lines, unechoed

    for line in read_lines(COMMANDS):
        with unechoed(sys.stdin.fileno()):
            if not chat.take(line):
                return
        print(file=sys.stderr)

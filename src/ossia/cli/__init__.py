"""The `ossia` command: finds the verb, and turns errors into one line.

A verb is a module of this package, named as it is typed (dashes as underscores), that has

    HELP: str                                          one line for `ossia --help`
    EXAMPLE: str                                       what `ossia VERB --help` ends with
    def arguments(parser: ArgumentParser) -> None      adds its options
    def run(options: Namespace) -> int                 does the work; the exit status

Only the verb that was asked for is imported, and it imports what is heavy inside `run`.
"""

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from ossia import __version__
from ossia.cli._display import one_line, said
from ossia.cli._parser import USAGE, Parser
from ossia.cli._signals import INTERRUPTED, heed, interrupted
from ossia.cli._streams import settle
from ossia.errors import OssiaError

__all__ = ["Verb", "main", "verbs"]

READER_GONE = 141
"""Exit status when whatever read our output has ended (`ossia ... | head -1`): 128 + SIGPIPE."""


class Verb(Protocol):
    """What a verb's module offers."""

    HELP: str
    EXAMPLE: str

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's own options to `parser`."""
        ...

    def run(self, options: argparse.Namespace) -> int:
        """Do the work; returns the exit status. Raises OssiaError or OSError."""
        ...


def verbs() -> dict[str, Verb]:
    """Every verb by its name. Imports them all: for the program's own help and for errors."""
    import pkgutil

    modules = (module.name for module in pkgutil.iter_modules(__path__))
    names = [name.replace("_", "-") for name in modules if not name.startswith("_")]
    found = {name: _verb(name) for name in names}
    return {name: verb for name, verb in found.items() if verb is not None}


def main(words: Sequence[str] | None = None) -> int:
    """Run one command, by default the process's own; returns its exit status."""
    if words is None:
        settle()
    command = [*(sys.argv[1:] if words is None else words)]  # `list` is a verb: once imported, it has its name here

    def work() -> int:
        if words is None:
            heed()
        return _run(command)

    return _guarded(work, debug="--debug" in command)


def _run(words: list[str]) -> int:
    first = next((index for index, word in enumerate(words) if not word.startswith("-")), len(words))
    program = _program(words[:first])
    if program.version:
        print(f"ossia {__version__}")
        return 0
    if program.help or first == len(words):
        return _print_help()
    name, rest = words[first], words[first + 1 :]
    # A sentence is a prompt; a single word is more likely a misspelt verb than a question.
    if len(name.split()) > 1:
        name, rest = "run", words[first:]
    verb = _verb(name)
    if verb is None:
        return _complain(_no_such_verb(name), USAGE)
    return verb.run(_verb_parser(name, verb).parse_args(rest))


def _verb(name: str) -> Verb | None:
    module = f"{__name__}.{name.replace('-', '_')}"
    if not name.replace("-", "_").isidentifier() or "_" in name or importlib.util.find_spec(module) is None:
        return None
    loaded = importlib.import_module(module)
    return cast(Verb, loaded) if hasattr(loaded, "HELP") else None


def _program(words: Sequence[str]) -> argparse.Namespace:
    """The options before the verb."""
    parser = Parser(prog="ossia", add_help=False)
    parser.advice = ' here; those of a verb follow it: ossia run --effort high "What is 37 * 48?"'
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--debug", action="store_true")
    return parser.parse_args(words)


def _verb_parser(name: str, verb: Verb) -> Parser:
    parser = Parser(
        prog=f"ossia {name}",
        description=verb.HELP,
        epilog=f"example:\n  {verb.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _print_help() -> int:
    table = verbs()
    width = max(map(len, table), default=0)
    print('usage: ossia VERB ...\n       ossia "PROMPT"        the same as ossia run "PROMPT"\n\nverbs:')
    for name, verb in table.items():
        print(f"  {name:{width}}  {verb.HELP}")
    print("\noptions:\n  --help     this page; after a verb, that verb's\n  --version  the version")
    print("  --debug    show the traceback of an error")
    return 0


def _no_such_verb(name: str) -> str:
    import difflib

    table = verbs()
    near = difflib.get_close_matches(name, table, n=3)
    guess = f"; did you mean {' or '.join(near)}" if near else f"; the verbs are {', '.join(table)}"
    return f'there is no verb {name!r}{guess}; for a prompt of one word: ossia run "{name}"'


def _guarded(work: Callable[[], int], debug: bool) -> int:
    """The work's exit status, or that of its error after one line about it."""
    try:
        status = work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except ImportError:
        if not interrupted():
            raise
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return READER_GONE
    except (OssiaError, OSError, MemoryError) as error:
        if debug:
            import traceback

            traceback.print_exc()
        _discard_output()
        return _complain(said(error), 1)
    return status


def _complain(message: str, status: int) -> int:
    print(f"ossia: {one_line(message)}", file=sys.stderr)
    return status


def _discard_output() -> None:
    """Point a stdout that cannot be written nowhere, or the interpreter would fail again when it flushes at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

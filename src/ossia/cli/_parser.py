"""How the command line's words are read: argparse, with errors of one line that name the next step."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

__all__ = ["USAGE", "Parser"]

USAGE = 2
"""Exit status for a command that cannot be understood; 1 is for one that failed."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line that names the next step.

    `words` is the name of a positional (nargs="*") whose words may stand anywhere among the options; what follows `--`
    are such words whatever they begin with. argparse alone takes them from one place only. `advice` is what the error
    about an option that there is not ends with.
    """

    words: str | None = None
    advice: str = ""

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with status 2."""
        self.exit(USAGE, f"{self.prog}: {message}; see `{self.prog} --help`\n")

    def parse_args(self, args: Sequence[str], namespace: Any = None) -> argparse.Namespace:  # type: ignore[override]
        """The options in `args`. Exits with status 2 where they cannot be understood."""
        if self.words is None:
            found, unknown = self.parse_known_args(args, namespace)
            later = []
        else:
            mark = args.index("--") if "--" in args else len(args)
            found, unknown = self.parse_known_intermixed_args(args[:mark], namespace)
            later = args[mark + 1 :]
        if unknown:
            self._refuse(unknown[0])
        if self.words is not None:
            setattr(found, self.words, [*getattr(found, self.words), *later])
        return found

    def print_help(self, file: Any = None) -> None:
        """Print the help. Unlike argparse, raises OSError where it cannot be written."""
        print(self.format_help(), end="", file=file, flush=True)

    def _refuse(self, word: str) -> NoReturn:
        """The error for a word that nothing takes."""
        if not word.startswith("-"):
            self.error(f"{word!r} is one word too many")
        import difflib

        option = word.partition("=")[0]
        near = difflib.get_close_matches(option, self._option_string_actions, n=2, cutoff=0.7)
        guess = f" (did you mean {' or '.join(near)}?)" if near else ""
        self.error(f"there is no option {option}{guess}{self.advice}")

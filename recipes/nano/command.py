"""What the recipe's commands share: how a program ends."""

import sys
from collections.abc import Callable
from pathlib import Path

from ossia.cli._display import said
from ossia.cli._signals import INTERRUPTED, heed
from ossia.errors import OssiaError

__all__ = ["run"]


def run(main: Callable[[], None]) -> None:
    """Run a command as the program that it is: an error, or ctrl-c, is one line on stderr and a status."""
    heed()
    try:
        main()
    except KeyboardInterrupt:
        _end("interrupted", INTERRUPTED)
    except (OssiaError, OSError, MemoryError) as error:
        _end(f"error: {said(error)}", 1)


def _end(message: str, status: int) -> None:
    print(f"{Path(sys.argv[0]).name}: {message}", file=sys.stderr)
    sys.exit(status)

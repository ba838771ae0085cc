"""What the recipe's commands share: how a program ends, and that it writes alone."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from ossia.checkpoint.sources.locks import locked
from ossia.cli._display import said
from ossia.cli._signals import INTERRUPTED, heed
from ossia.errors import OssiaError

__all__ = ["alone", "run"]


def run(main: Callable[[], None]) -> None:
    """Run a command as the program that it is: an error, or ctrl-c, is one line on stderr and a status."""
    heed()
    try:
        main()
    except KeyboardInterrupt:
        _end("interrupted", INTERRUPTED)
    except (OssiaError, OSError, MemoryError) as error:
        _end(f"error: {said(error)}", 1)


def alone(lock: Path, output: Path) -> AbstractContextManager[None]:
    """Of two runs that write the same output the second is refused; `lock` is the file that they meet at."""

    def refuse() -> None:
        raise OssiaError(f"{output}: another run writes this; another name, or waiting for its end, is right")

    return locked(lock, refuse, lambda: False)


def _end(message: str, status: int) -> None:
    print(f"{Path(sys.argv[0]).name}: {message}", file=sys.stderr)
    sys.exit(status)

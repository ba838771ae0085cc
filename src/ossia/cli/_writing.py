"""Files that are there whole or not at all, whatever happens while they are written."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ossia.errors import RequestError

__all__ = ["written"]

_SUFFIX = ".ossia-part"


@contextmanager
def written(path: Path, *, over: bool) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` when all went well and leaves nothing otherwise.

    `over` says that an older file may be replaced. Raises RequestError where it may not, where `path` is something else
    than a file, such as a device, or its folder is not there; OSError with the name `path` where it cannot be written.
    """
    if path.exists() and not path.is_file():
        raise RequestError(f"{path}: not a regular file; the name of a file to write is right")
    if not path.parent.is_dir():
        raise RequestError(f"{path}: there is no folder {path.parent}; a folder that exists is right")
    if not over:
        _claim(path)
    try:
        with _beside(path) as (part, file):
            yield file
            file.close()  # where a disk is full, this may be what fails
            part.chmod(0o644)
            part.replace(path)
    except BaseException as error:
        if not over:
            path.unlink(missing_ok=True)
        if isinstance(error, OSError) and (error.filename is None or str(error.filename).endswith(_SUFFIX)):
            error.filename = str(path)
        raise


def _claim(path: Path) -> None:
    """Make the name ours before there is anything to put there."""
    try:
        path.open("x").close()
    except FileExistsError as error:
        raise RequestError(f"{path}: there is a file of this name already; another name is right") from error


@contextmanager
def _beside(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A temporary file in the folder of `path`, and its name; gone at the end unless it was renamed."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=_SUFFIX, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield Path(name), file
    finally:
        Path(name).unlink(missing_ok=True)

"""Files that appear complete or not at all, and disks that turn out too small.

What is written goes under a temporary name beside the target; the target's own name is given at the end, by a rename.
After any error, an interruption included, the temporary is removed.
"""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ossia.errors import CapacityError, CheckpointError

__all__ = ["new_file", "new_folder"]

_FULL = {
    errno.ENOSPC: "the disk became full",
    errno.EDQUOT: "the disk's quota is used up",
    errno.EFBIG: "a file may not become as large as it must here (see `ulimit -f`, and the file system's limit)",
}

# Room that configs, headers and the file system's own tables take beside the tensors.
_SPARE = 64 << 20


@contextlib.contextmanager
def new_folder(path: Path, needed: int) -> Iterator[Path]:
    """A folder to fill, which becomes `path` when all went well. `needed` is the bytes it will take.

    Raises CheckpointError when `path` exists and is not empty, CapacityError when the disk is or gets full.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise CheckpointError(f"{path}: exists already; a new name or an empty folder is right")
    with _cleared(path, needed):
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        try:
            _check_room(path, needed)
            yield folder
            folder.chmod(0o755)
            folder.rename(path)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


@contextlib.contextmanager
def new_file(path: Path, needed: int, *, mode: int = 0o644, replaces: bool = False) -> Iterator[Path]:
    """A file to write, which becomes `path` when all went well, in place of what is there if it `replaces` that.

    Before that only its user can read it. Otherwise as `new_folder`.
    """
    if path.exists() and not replaces:
        raise CheckpointError(f"{path}: exists already; a new name is right")
    with _cleared(path, needed):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        try:
            _check_room(path, needed)
            yield Path(name)
            Path(name).chmod(mode)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _cleared(path: Path, needed: int) -> Iterator[None]:
    """Makes the folder that `path` is to be in, and names what goes wrong in the block."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise CapacityError(f"{path}: {_FULL[error.errno]}; {_gib(needed + _SPARE)} are needed") from error
        raise CheckpointError(f"{path}: cannot be written: {error.strerror or error}") from error


def _check_room(path: Path, needed: int) -> None:
    """After something was made there: a disk that is read-only has no room either, but says so."""
    free = shutil.disk_usage(path.parent).free
    if needed + _SPARE > free:
        raise CapacityError(f"{path}: needs {_gib(needed + _SPARE)}, the disk has {_gib(free)} free")


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"

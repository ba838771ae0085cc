"""Files that are made from a checkpoint and kept from one start to the next, in a folder of the user's cache.

They are safetensors of bytes. A file's name says where the checkpoint lies and what the file was made from: the sizes,
times and places on the disk of the checkpoint's files, and what its maker says besides. One that another user could
have written is not read; one whose checkpoint is gone is removed when another is written.
"""

import hashlib
import json
import os
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from ossia.checkpoint.disk import new_file
from ossia.checkpoint.gguf import parts_of
from ossia.checkpoint.safetensors import header, read_metadata
from ossia.errors import CheckpointError

__all__ = ["SUFFIX", "cache_folder", "forget", "is_own", "named", "write"]

_ABANDONED_SECONDS = 3600.0

_FRESH_SECONDS = 1.0
"""What was written so lately stays: of several writers who each remove the others' files none would leave any."""

SUFFIX = ".safetensors"


def cache_folder() -> Path | None:
    """Where files are kept: in the folder that OSSIA_CACHE names, or the user's cache. None: nowhere.

    Source: the XDG Base Directory Specification, XDG_CACHE_HOME.
    """
    given = os.environ.get("OSSIA_CACHE")
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        if given is not None:
            return Path(given).expanduser() if given else None
        return (cache if cache.is_absolute() else Path.home() / ".cache") / "ossia"
    except RuntimeError:  # a user without a home
        return None


def named(checkpoint: Path, made_from: Sequence[object]) -> str:
    """What a file's name begins with that is made from a checkpoint as it is now, and from what else JSON can tell."""
    path = checkpoint.resolve()
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else parts_of(path)
    found = [(os.fsencode(file.name).hex(), file.stat()) for file in files if file.exists()]
    # Whoever copies a file with its times still changes when and where it came to the disk.
    stats = [(name, one.st_size, one.st_ino, one.st_mtime_ns, one.st_ctime_ns) for name, one in found]
    return f"{_place(path)}-{_hash(json.dumps([*made_from, stats]).encode())}"


def is_own(file: Path) -> bool:
    """Whether nobody but this user, or the system's, can have written it. Windows has no such numbers."""
    if not hasattr(os, "getuid"):
        return True
    found = file.stat()
    return found.st_uid in (os.getuid(), 0) and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def write(
    file: Path, arrays: Mapping[str, np.ndarray], checkpoint: Path, about: Mapping[str, str], newest: int = 1
) -> None:
    """Keep bytes in a file that its user alone can read, in place of what was there; then remove what is of no use.

    Of files of its kind, made from the same checkpoint, the `newest` stay, and those of the last second. Raises
    CheckpointError, CapacityError or OSError when the disk does not allow it.
    """
    said = {**about, "checkpoint": os.fsencode(checkpoint.resolve()).hex()}
    opening, slots = header({name: ("U8", array.shape) for name, array in arrays.items()}, said)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    size = sum(array.nbytes for array in arrays.values())
    # Another process may be writing the same: the last one stays.
    with new_file(file, size, mode=0o600, replaces=True) as unfinished, unfinished.open("wb") as handle:
        handle.write(opening)
        for name in sorted(arrays, key=lambda name: slots[name].start):
            handle.write(arrays[name].data)
        handle.flush()
        os.fsync(handle.fileno())
    _clear(file, checkpoint, newest)


def forget(checkpoint: Path, folder: Path | None) -> int:
    """Remove what is kept of a checkpoint that is being removed; the bytes that this freed.

    Raises OSError when the disk does not allow it.
    """
    freed = 0
    for file in [] if folder is None else folder.glob(f"{_place(checkpoint)}-*{SUFFIX}"):
        with suppress(FileNotFoundError):
            freed += file.stat().st_size
            file.unlink()
    return freed


def _clear(file: Path, checkpoint: Path, newest: int) -> None:
    """Remove what a file that was just written has made useless, and what is so anyway."""
    folder, kind = file.parent, _kind(file)
    alike = [one for one in folder.glob(f"{_place(checkpoint)}-*{SUFFIX}") if _kind(one) == kind and one != file]
    alike.sort(key=_written, reverse=True)
    older = [one for one in alike[newest - 1 :] if not 0 <= time.time() - _written(one) < _FRESH_SECONDS]
    orphans = [one for one in folder.glob(f"*{SUFFIX}") if one != file and _is_orphan(one)]
    # Of whoever was ended while writing.
    abandoned = [part for part in folder.glob(".*.part") if time.time() - _written(part) > _ABANDONED_SECONDS]
    for useless in (*older, *orphans, *abandoned):
        useless.unlink(missing_ok=True)


def _kind(file: Path) -> str:
    return file.name.partition(".")[2]


def _written(file: Path) -> float:
    """When; long ago, if another process has removed it since."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _is_orphan(file: Path) -> bool:
    """Whether the checkpoint that a file was made from is no longer there."""
    try:
        return not os.path.lexists(bytes.fromhex(read_metadata(file)["checkpoint"]))
    except (CheckpointError, OSError, ValueError, KeyError, TypeError):
        return False  # not ours to judge


def _place(path: Path) -> str:
    return _hash(os.fsencode(path.resolve()))


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]

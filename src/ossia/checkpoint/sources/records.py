"""Which models Ossia itself has pulled: only those does it remove without being told twice.

One small file each, named by a hash of the model's path. They are a hint and no more: when they are lost, the models
count as another program's.
"""

import contextlib
import hashlib
import json
from pathlib import Path

from ossia.checkpoint.sources import settings

__all__ = ["forget", "note", "pulled"]


def note(path: Path, name: str) -> None:
    """Remember that a model was pulled under this name."""
    file = _file(path)
    # A state that cannot be kept is no reason to fail a download that has succeeded.
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"path": str(path.absolute()), "name": name}), "utf-8")


def pulled(path: Path) -> bool:
    """Whether the model at this path was pulled by Ossia."""
    try:
        return _file(path).is_file()
    except OSError:
        return False


def forget(path: Path) -> None:
    """The model at this path is no more."""
    with contextlib.suppress(OSError):
        _file(path).unlink(missing_ok=True)


def _file(path: Path) -> Path:
    name = hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return settings.records_folder() / f"{name}.json"

"""From what a user calls a model to where it is: a path, `nano`, or a name in Hugging Face's local cache."""

import difflib
import os
from importlib.resources import files
from pathlib import Path

from ossia.errors import ModelNotFoundError

__all__ = ["find", "find_config", "published_configs"]

_EMBEDDED = "nano"


def find(name: str) -> Path:
    """The checkpoint that goes by `name`: `nano`, an existing path, or a hub name such as `openai/gpt-oss-20b`.

    `nano` is the embedded model whatever lies in the working folder; `./nano` is a path. A hub name is looked up in the
    local cache only, at its revision `main`. Raises ModelNotFoundError, which says what would be right.
    """
    if name == _EMBEDDED:
        return _embedded()
    if _exists(name):
        return Path(name)
    cached = _cached()
    if name in cached:
        return cached[name]
    raise ModelNotFoundError(f"no model {name!r} here{_advice(name, [*cached, _EMBEDDED])}")


def find_config(name: str) -> Path | None:
    """The config that goes by `name` where no weights are needed: a JSON file, or a published model's name.

    `20b` and `120b` are the published configs whatever lies in the working folder; a path comes before longer names.
    """
    published = published_configs().get(name)
    if published and published.stem == name:
        return published
    if _exists(name):
        return Path(name) if Path(name).suffix == ".json" else None
    return published


def published_configs() -> dict[str, Path]:
    """The published models' configs, by the names that stand for them: `20b`, `gpt-oss-20b`, `openai/gpt-oss-20b`."""
    folder = Path(str(files("ossia"))) / "data" / "configs"
    return {
        prefix + file.stem: file
        for file in sorted(folder.glob("*.json"))
        for prefix in ("", "gpt-oss-", "openai/gpt-oss-")
    }


def _exists(name: str) -> bool:
    try:
        return bool(name) and Path(name).exists()
    except OSError:
        # Too long for a file's name, or in a folder that may not be looked into: no path that could be opened.
        return False


def _embedded() -> Path:
    folder = Path(str(files("ossia"))) / "data" / _EMBEDDED
    if not (folder / "config.json").is_file():
        raise ModelNotFoundError(f"this build has no embedded model {_EMBEDDED!r}; a path to a checkpoint is right")
    return folder


def _advice(name: str, known: list[str]) -> str:
    if name in published_configs():
        size = published_configs()[name].stem
        return (
            f": of the published models only the configs are built in. A path to its folder or GGUF file is right; "
            f"`ossia make-random {size} --out DIR` makes one of that size, `ossia show {size}` describes it"
        )
    near = difflib.get_close_matches(name, known, n=3)
    guess = f"; did you mean {' or '.join(near)}?" if near else "."
    return f"{guess} A folder, a GGUF file, {_EMBEDDED!r} or a hub name in the local cache ({_hub_cache()}) is right"


def _hub_cache() -> Path:
    """Where huggingface_hub keeps what it has downloaded. Source: its documentation, "Environment variables"."""
    if folder := os.environ.get("HF_HUB_CACHE"):
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(os.environ.get("HF_HOME") or f"{base}/huggingface") / "hub"
    try:
        return folder.expanduser()
    except RuntimeError:
        # A user without a home, as containers have them, has no cache there either.
        return folder


def _cached() -> dict[str, Path]:
    """Every model in the cache by its hub name, with the folder of its revision `main`."""
    found: dict[str, Path] = {}
    for folder in sorted(_hub_cache().glob("models--*")):
        reference = folder / "refs" / "main"
        snapshot = (
            folder / "snapshots" / (reference.read_text("utf-8", "replace").strip() if reference.is_file() else "")
        )
        if snapshot.is_dir() and snapshot.name != "snapshots":
            found[folder.name.removeprefix("models--").replace("--", "/")] = snapshot
    return found

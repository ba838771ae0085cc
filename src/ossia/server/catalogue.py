"""The models that are here, as the lists of the APIs show them."""

import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ossia.checkpoint import Experts, find, models, open_checkpoint
from ossia.checkpoint.sources.names import ALIASES
from ossia.config import ModelConfig
from ossia.errors import ModelNotFoundError, OssiaError
from ossia.loading import vocabulary_of

__all__ = ["Catalogue", "Entry", "downloaded", "known_as", "with_aliases", "without_path"]

FRESH_SECONDS = 2.0
"""A list that is asked for again within this time is not made anew: clients ask twice in a row."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model on disk. `created` is when its file or folder was last changed, in seconds since 1970."""

    name: str
    path: Path
    layout: str
    experts: Experts
    config: ModelConfig
    bytes: int
    created: int


def downloaded() -> dict[str, Path]:
    """The embedded model, and those that any program has downloaded, by the name of each; Ollama's as it has them."""
    found = {local.name.removeprefix("ollama://"): local.path for local in reversed(models())}
    return found | {"nano": find("nano")}


def with_aliases(found: Mapping[str, Path]) -> dict[str, Path]:
    """The same models by their further names too: the published ones have several, `gpt-oss:20b` among them."""
    published = {local.path: local.same_as for local in models() if local.same_as}
    by_repository = {published[path]: path for path in found.values() if path in published}
    aliases = {alias: by_repository[name] for alias, name in ALIASES.items() if name in by_repository}
    return {**aliases, **by_repository, **found}


def known_as(name: str, known: Container[str]) -> str | None:
    """The one of the `known` names that this name means: Ollama's clients put `:latest` behind a name without a tag.

    >>> known_as("nano:latest", {"nano"}), known_as("nano", {"nano:latest"}), known_as("other", {"nano"})
    ('nano', 'nano:latest', None)
    """
    return next((each for each in (name, name.removesuffix(":latest"), f"{name}:latest") if each in known), None)


class Catalogue:
    """The models that `local` finds, by name; what cannot be run is not among them, but `refused` says why.

    Reads only what changed since it was last asked; it looks at the disk, so a server asks it in a thread.
    """

    def __init__(self, local: Callable[[], Mapping[str, Path]]) -> None:
        self._local = local
        self._known: dict[tuple[Path, float], Entry | str] = {}
        self._listed: list[Entry] = []
        self._refused: dict[str, str] = {}
        self._when = float("-inf")

    def entries(self) -> list[Entry]:
        """All of them, in the order of `local`."""
        self._look()
        return self._listed

    def refused(self) -> Mapping[str, str]:
        """Why those that are here and cannot be run cannot, by name, without a word of where they lie."""
        self._look()
        return self._refused

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._when > FRESH_SECONDS:
            found = {name: (path, _changed(path)) for name, path in self._local().items()}
            self._known = {key: self._known[key] if key in self._known else _entry(*key) for key in set(found.values())}
            entries = {name: self._known[key] for name, key in found.items()}
            self._listed = [replace(entry, name=name) for name, entry in entries.items() if isinstance(entry, Entry)]
            self._refused = {name: why for name, why in entries.items() if isinstance(why, str)}
            self._when = now


def _changed(path: Path) -> float:
    """When the folder or file was last changed; 0 where it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def without_path(message: str, path: Path) -> str:
    """What an error says of a model's files, without the folder that they lie in."""
    return message.replace(f"{path}/", "").replace(str(path), path.name)


def _entry(path: Path, changed: float) -> Entry | str:
    """What there is, or why it cannot be run."""
    try:
        checkpoint = open_checkpoint(path)
        if checkpoint.tokenizer is None and checkpoint.gguf_vocabulary is None:
            vocabulary_of(checkpoint)  # the published models': it may have more tokens than the model has rows
    except ModelNotFoundError:
        return "its folder or file is gone"
    except OSError as error:
        return error.strerror or type(error).__name__
    except OssiaError as error:
        return without_path(str(error), path)
    return Entry(
        name="",
        path=path,
        layout=checkpoint.layout,
        experts=checkpoint.experts,
        config=checkpoint.config,
        bytes=checkpoint.bytes,
        created=int(changed),
    )

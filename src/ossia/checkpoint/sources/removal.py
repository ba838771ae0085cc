"""Removing a model: what Ossia has pulled, and another program's only when told so."""

from dataclasses import dataclass
from pathlib import Path

from ossia.checkpoint.sources import records
from ossia.checkpoint.sources.hub_cache import Storage
from ossia.checkpoint.sources.inventory import candidates
from ossia.checkpoint.sources.local import HUGGING_FACE, OLLAMA, Local
from ossia.checkpoint.sources.names import ALIASES, HubName, RegistryName, parse
from ossia.checkpoint.sources.ollama_store import Store
from ossia.errors import CheckpointError, ModelNotFoundError

__all__ = ["Removal", "plan_removal", "remove"]


@dataclass(frozen=True)
class Removal:
    """A model that is going to be removed, and whether another program put it there."""

    local: Local
    foreign: bool


def plan_removal(name: str) -> Removal:
    """What `name` means among the models that can be removed: one of ours if there is one, else another program's.

    Raises ModelNotFoundError when there is none, CheckpointError for a path: what a user has put somewhere is the
    user's to remove.
    """
    if name == "nano":
        raise CheckpointError("nano is part of the package; `pip uninstall ossia` removes it with the rest")
    found = candidates(name)
    exact = [local for local in found if _is_exactly(local, name)] or found
    if not exact:
        if _exists(name):
            raise CheckpointError(
                f"{name} is a path, not a download; `ossia rm` takes the names that `ossia list` shows"
            )
        raise ModelNotFoundError(
            f"no model {name!r:.120} has been downloaded; `ossia list --all` shows those that have"
        )
    ours = [local for local in exact if records.pulled(local.path)]
    return Removal((ours or exact)[0], not ours)


def remove(removal: Removal, *, foreign: bool = False) -> int:
    """Remove a model's files, and contents that nothing else uses; the bytes freed.

    Raises CheckpointError when it is another program's and `foreign` does not allow that, or cannot be removed.
    """
    local = removal.local
    if removal.foreign and not foreign:
        raise CheckpointError(f"{local.name} was downloaded by {local.program}: {local.path}; --foreign removes it too")
    try:
        freed = _removed(local)
    except OSError as error:
        raise CheckpointError(f"{local.path}: cannot be removed: {error.strerror or error}") from error
    records.forget(local.path)
    return freed


def _removed(local: Local) -> int:
    if local.program == HUGGING_FACE:
        snapshot = next(one for one in (local.path, *local.path.parents) if one.parent.name == "snapshots")
        folder = snapshot.parent.parent
        repository = folder.name.removeprefix("models--").replace("--", "/")
        return Storage(folder.parent, repository).remove(snapshot, local.files)
    if local.program == OLLAMA:
        store = Store(local.path.parent.parent)
        name = parse(local.name)
        assert isinstance(name, RegistryName)
        return store.remove(store.manifest(name))
    freed = local.bytes
    for file in local.files:
        file.unlink(missing_ok=True)
    return freed


def _is_exactly(local: Local, name: str) -> bool:
    try:
        wanted = parse(name)
    except ModelNotFoundError:
        return local.name == name
    own = {str(wanted)} if isinstance(wanted, HubName) else {f"ollama://{wanted}"}
    typed = set() if name.lower() in ALIASES else {f"ollama://{name}", f"ollama://{name}:latest"}
    return local.name in {name} | own | typed


def _exists(name: str) -> bool:
    try:
        return bool(name) and Path(name).exists()
    except (OSError, ValueError):
        return False

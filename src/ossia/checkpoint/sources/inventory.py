"""All models on this machine that programs have downloaded, and those among them that a name means."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ossia.checkpoint.sources import hub_cache, ollama_store, others, settings
from ossia.checkpoint.sources.local import Local
from ossia.checkpoint.sources.names import ALIASES, HubName, parse
from ossia.errors import ModelNotFoundError

__all__ = ["candidates", "models"]


def models() -> list[Local]:
    """Every model in the folders of Hugging Face, Ollama, LM Studio and llama.cpp, each file once."""
    found: dict[Path, Local] = {}
    for local in _all():
        # The folder without links, since a cache may be reached by two ways; the file's own name as it is, since two
        # of a cache may be links to one content.
        found.setdefault(local.path.parent.resolve() / local.path.name, local)
    return list(found.values())


def candidates(name: str) -> list[Local]:
    """The models on this machine that `name` may mean, the likeliest first.

    First those of that very name, then those with the published weights that it stands for, whoever downloaded them.
    """
    here = models()
    try:
        wanted = parse(name)
    except ModelNotFoundError:
        return [local for local in here if local.name == name]
    exact = {name, str(wanted), f"ollama://{wanted}"}
    if name.lower() not in ALIASES:
        # As Ollama's users type it: ORG/NAME there may be a namespace of its registry.
        exact |= {f"ollama://{name}", f"ollama://{name}:latest"}
    found = [local for local in here if local.name in exact]
    if isinstance(wanted, HubName) and wanted.revision == "main":
        found += [local for local in here if _is_file_of(local.name, wanted)]
        found += [local for local in here if wanted.quant is None and local.same_as == wanted.repository]
    return list(dict.fromkeys(found))


def _is_file_of(name: str, wanted: HubName) -> bool:
    """Whether a GGUF file's name is one of those that a repository's name stands for."""
    return wanted.quant is None and name.startswith(f"{wanted.repository}:")


def _all() -> Iterator[Local]:
    for find, folders in (
        (hub_cache.models, settings.hub_caches()),
        (ollama_store.models, settings.ollama_folders()),
        (others.lm_studio_models, settings.lm_studio_folders()),
        (others.llama_cpp_models, settings.llama_cpp_folders()),
    ):
        for folder in folders:
            # A folder that may not be looked into, as another user's, has nothing for us.
            with contextlib.suppress(OSError):
                yield from find(folder)

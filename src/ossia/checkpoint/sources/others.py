"""What LM Studio and llama.cpp keep on disk: found and used, never changed.

LM Studio has MODELS/PUBLISHER/MODEL/FILES, GGUF files or an MLX folder. llama.cpp's own cache is one flat folder of
PUBLISHER_MODEL_FILE.gguf; what newer ones download lies in the hub's cache.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from ossia.checkpoint.gguf import parts_of
from ossia.checkpoint.sources.local import LLAMA_CPP, LM_STUDIO, Local, same_model
from ossia.checkpoint.sources.names import quant_of

__all__ = ["llama_cpp_models", "lm_studio_models"]


def lm_studio_models(folder: Path) -> Iterator[Local]:
    """Every model that LM Studio keeps under a folder."""
    for place in _listed(folder, "*/*"):
        repository = f"{place.parent.name}/{place.name}"
        if (place / "config.json").is_file():
            files = tuple(file for file in _listed(place, "*") if file.is_file())
            yield Local(name=repository, path=place, program=LM_STUDIO, files=files)
        for file in _ggufs(place):
            yield _local(repository, file, LM_STUDIO)


def llama_cpp_models(folder: Path) -> Iterator[Local]:
    """Every model in llama.cpp's own cache."""
    for file in _ggufs(folder):
        match = re.match(r"([A-Za-z0-9-]+)_([\w.-]+?-GGUF)_", file.name, re.IGNORECASE)
        yield _local(f"{match[1]}/{match[2]}" if match else file.stem, file, LLAMA_CPP)


def _local(repository: str, file: Path, program: str) -> Local:
    return Local(
        name=f"{repository}:{quant_of(file.name) or file.stem}",
        path=file,
        program=program,
        files=tuple(parts_of(file)),
        same_as=same_model(repository),
    )


def _ggufs(folder: Path) -> list[Path]:
    files = [file for file in _listed(folder, "*.gguf") if not file.name.startswith(("mmproj", "."))]
    return [file for file in files if parts_of(file)[0] == file]


def _listed(folder: Path, pattern: str) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(folder.glob(pattern))
    return []

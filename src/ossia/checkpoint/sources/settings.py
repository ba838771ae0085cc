"""The environment variables and folders of the programs whose models we share.

Source: huggingface_hub, "Environment variables", and its constants.py; ollama, envconfig/config.go; LM Studio's
documentation, "Import models"; llama.cpp, common/common.cpp `fs_get_cache_directory` and common/hf-cache.cpp.
"""

import json
import os
import sys
from pathlib import Path

from ossia.errors import DownloadError
from ossia.files import open_regular

__all__ = [
    "check_online",
    "hub_cache",
    "hub_caches",
    "hub_endpoint",
    "hub_token",
    "llama_cpp_folders",
    "lm_studio_folders",
    "ollama_folder",
    "ollama_folders",
    "records_folder",
    "registry_endpoint",
]

OLLAMA_SERVICE = Path("/usr/share/ollama/.ollama/models")
"""Where the service that Ollama's installer sets up on Linux has its models."""

_TRUE = {"1", "ON", "YES", "TRUE"}
_LONGEST_FILE = 1 << 20


def hub_endpoint() -> str:
    """The hub's address, without a slash at its end: `HF_ENDPOINT`, or huggingface.co."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def hub_token() -> str | None:
    """The user's token for the hub: `HF_TOKEN`, or what `hf auth login` has left in its file."""
    token = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
    if not token and not _is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        token = _text(_path("HF_TOKEN_PATH") or _hub_home() / "token")
    token = (token or "").strip()
    if any(not 32 < ord(letter) < 127 for letter in token):
        raise DownloadError(
            "the token for the hub (HF_TOKEN or its file) has letters that no token has; hf_... is right"
        )
    return token or None


def registry_endpoint(host: str) -> str:
    """Where the registry of that name is asked; `OLLAMA_REGISTRY` stands in for Ollama's own, as a mirror would."""
    mirror = os.environ.get("OLLAMA_REGISTRY")
    if mirror and host == "registry.ollama.ai":
        return (mirror if "://" in mirror else f"https://{mirror}").rstrip("/")
    return f"https://{host}"


def check_online() -> None:
    """Raises DownloadError in offline mode."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if _is_set(name):
            raise DownloadError(f"{name} is set, so nothing is downloaded; a model on this machine is right")


def hub_cache() -> Path:
    """Where huggingface_hub keeps what it has downloaded, and we what we do."""
    return _path("HF_HUB_CACHE") or _path("HUGGINGFACE_HUB_CACHE") or _hub_home() / "hub"


def hub_caches() -> list[Path]:
    """Every folder of that form: newer llama.cpp keeps one at `LLAMA_CACHE` when that is set."""
    return _distinct([hub_cache(), *([folder] if (folder := _path("LLAMA_CACHE")) else [])])


def ollama_folder() -> Path:
    """Where Ollama keeps its models, and we what comes from a registry."""
    return _path("OLLAMA_MODELS") or _expanded("~/.ollama/models")


def ollama_folders() -> list[Path]:
    """Every place where Ollama's models may be: on Linux its service has a home of its own."""
    service = [] if os.environ.get("OLLAMA_MODELS") else [OLLAMA_SERVICE]
    return _distinct([ollama_folder(), *service])


def lm_studio_folders() -> list[Path]:
    """Where LM Studio keeps models: its present and its former home, and what its settings name."""
    pointer = _text(_expanded("~/.lmstudio-home-pointer"))
    homes = [Path(pointer.strip())] if pointer and pointer.strip() else []
    homes += [_expanded("~/.lmstudio"), _expanded("~/.cache/lm-studio")]
    named = [folder for home in homes if (folder := _downloads_folder(home / "settings.json"))]
    return _distinct([*named, *(home / "models" for home in homes)])


def llama_cpp_folders() -> list[Path]:
    """Where llama.cpp keeps GGUF files, beside the hub's cache that newer ones use."""
    if folder := _path("LLAMA_CACHE"):
        return [folder]
    home = (
        _expanded("~/Library/Caches") if sys.platform == "darwin" else _path("XDG_CACHE_HOME") or _expanded("~/.cache")
    )
    return [home / "llama.cpp"]


def records_folder() -> Path:
    """Where we note which models we pulled. Source: XDG Base Directory Specification 0.8, `$XDG_STATE_HOME`."""
    return (_path("XDG_STATE_HOME") or _expanded("~/.local/state")) / "ossia" / "pulled"


def _hub_home() -> Path:
    base = _path("XDG_CACHE_HOME") or _expanded("~/.cache")
    return _path("HF_HOME") or base / "huggingface"


def _downloads_folder(file: Path) -> Path | None:
    try:
        named = json.loads(_text(file) or "{}").get("downloadsFolder")
    except (ValueError, AttributeError, RecursionError):
        return None
    return Path(named) if isinstance(named, str) and named and "\0" not in named else None


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").upper() in _TRUE


def _path(name: str) -> Path | None:
    value = os.environ.get(name)
    return _expanded(os.path.expandvars(value)) if value else None


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        # A user without a home, as containers have them, has nothing there either.
        return Path(text)


def _distinct(folders: list[Path]) -> list[Path]:
    return list(dict.fromkeys(folders))


def _text(file: Path) -> str | None:
    """A small file's text; None when there is none that could be read."""
    try:
        with open_regular(file) as handle:
            return handle.read(_LONGEST_FILE).decode("utf-8", "replace")
    except (OSError, ValueError):
        return None

"""A model on this machine, whoever put it there."""

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["HUGGING_FACE", "LLAMA_CPP", "LM_STUDIO", "OLLAMA", "Local", "same_model"]

HUGGING_FACE = "Hugging Face"
OLLAMA = "Ollama"
LM_STUDIO = "LM Studio"
LLAMA_CPP = "llama.cpp"

_FAITHFUL = ("openai", "ggml-org", "lmstudio-community")
"""Who publishes gpt-oss with its weights as they are, under the same name or with -GGUF behind it."""


@dataclass(frozen=True, kw_only=True)
class Local:
    """A model on disk.

    name     what it is found by
    path     what `open_checkpoint` takes
    program  in whose folder it lies
    files    all of its files there, for their size
    same_as  the published repository whose weights it holds, if it is known
    """

    name: str
    path: Path
    program: str
    files: tuple[Path, ...] = field(repr=False)
    same_as: str | None = None

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(size_of(file) for file in self.files)


def size_of(file: Path) -> int:
    """A file's size, 0 where there is none."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def same_model(repository: str) -> str | None:
    """The published repository that one on the hub holds the weights of.

    >>> same_model("ggml-org/gpt-oss-20b-GGUF")
    'openai/gpt-oss-20b'
    """
    publisher, _, model = repository.partition("/")
    stem = model.lower().removesuffix("-gguf")
    published = stem in ("gpt-oss-20b", "gpt-oss-120b", "gpt-oss-safeguard-20b", "gpt-oss-safeguard-120b")
    return f"openai/{stem}" if published and publisher in _FAITHFUL else None

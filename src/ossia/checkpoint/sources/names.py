"""What users call a model, and what that stands for: a repository on the hub, or a model of an Ollama registry.

| typed | stands for |
|---|---|
| `gpt-oss:20b`, `gpt-oss`, `gpt-oss-20b` | `openai/gpt-oss-20b` on the hub |
| `openai/gpt-oss-20b`, `hf.co/openai/gpt-oss-20b` | the same, by its own name |
| `org/name:Q8_0` | a GGUF file of that quantisation in a repository |
| `org/name:v2`, `org/name@v2` | a branch, a tag or a commit |
| `ollama://gpt-oss:20b`, `registry.ollama.ai/library/gpt-oss:20b`, `mistral:7b` | a model of an Ollama registry |

Source: ollama, types/model/name.go, for the parts of its names; Hugging Face, "Use Ollama with any GGUF Model on the
Hub", for `hf.co/org/name:quant`.
"""

import re
from dataclasses import dataclass

from ossia.errors import ModelNotFoundError

__all__ = ["ALIASES", "HubName", "RegistryName", "is_remote", "names_a_published_model", "parse", "quant_of"]

DEFAULT_REGISTRY = "registry.ollama.ai"

ALIASES: dict[str, str] = {
    alias: f"openai/{repository}"
    for repository, aliases in {
        "gpt-oss-20b": ("gpt-oss", "gpt-oss:latest", "gpt-oss:20b", "gpt-oss-20b", "20b"),
        "gpt-oss-120b": ("gpt-oss:120b", "gpt-oss-120b", "120b"),
        "gpt-oss-safeguard-20b": (
            "gpt-oss-safeguard",
            "gpt-oss-safeguard:latest",
            "gpt-oss-safeguard:20b",
            "gpt-oss-safeguard-20b",
        ),
        "gpt-oss-safeguard-120b": ("gpt-oss-safeguard:120b", "gpt-oss-safeguard-120b"),
    }.items()
    for alias in aliases
}
"""Short names of the published models, Ollama's among them."""

LONGEST = 300
"""Characters of a name; the hub allows 96 for organisation and repository, Ollama 128 for each part of its names."""

_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,126}[A-Za-z0-9_])?"
_HUB = re.compile(rf"({_PART})/({_PART})(?:[:@](\w[\w./-]{{0,127}}))?")
_REGISTRY = re.compile(
    rf"(?:(?:([A-Za-z0-9][A-Za-z0-9.-]*(?::\d{{1,5}})?)/)?({_PART})/)?({_PART})(?::([A-Za-z0-9_][\w.-]{{0,127}}))?"
)
_HUB_HOSTS = ("hf.co/", "huggingface.co/", "www.huggingface.co/")
_OLLAMA_HOSTS = (f"{DEFAULT_REGISTRY}/", "ollama.com/", "www.ollama.com/")
_QUANT = re.compile(
    r"(?:UD-)?(?:MXFP4(?:_MOE)?|NVFP4|BF16|F16|F32|TQ[12]_0|I?Q\d(?:_[A-Z0-9]{1,3}){1,2})", re.IGNORECASE
)


@dataclass(frozen=True)
class HubName:
    """A repository on the hub, at a revision; `quant` asks for a GGUF file of that quantisation."""

    repository: str
    revision: str = "main"
    quant: str | None = None

    def __str__(self) -> str:
        revision = "" if self.revision == "main" else f"@{self.revision}"
        return f"{self.repository}{revision}{f':{self.quant}' if self.quant else ''}"


@dataclass(frozen=True)
class RegistryName:
    """A model of an Ollama registry."""

    model: str
    tag: str = "latest"
    namespace: str = "library"
    host: str = DEFAULT_REGISTRY

    def __str__(self) -> str:
        """As Ollama shows it: without the parts that go without saying."""
        namespace = "" if (self.host, self.namespace) == (DEFAULT_REGISTRY, "library") else f"{self.namespace}/"
        host = "" if self.host == DEFAULT_REGISTRY else f"{self.host}/"
        return f"{host}{namespace}{self.model}:{self.tag}"


def parse(name: str) -> HubName | RegistryName:
    """What a name stands for. Raises ModelNotFoundError when no model could be called so.

    >>> parse("gpt-oss:20b")
    HubName(repository='openai/gpt-oss-20b', revision='main', quant=None)
    >>> str(parse("ollama://gpt-oss"))
    'gpt-oss:latest'
    """
    if alias := ALIASES.get(name.lower()):
        return HubName(alias)
    short = re.sub(r"^https?://", "", name) if len(name) <= LONGEST else ""
    if name.startswith("ollama://"):
        return _registry(name, name.removeprefix("ollama://"))
    if short.startswith(_OLLAMA_HOSTS):
        return _registry(name, short.split("/", 1)[1].removeprefix("v2/"))
    if name.startswith("hf://") or short.startswith(_HUB_HOSTS):
        return _hub(name, name.removeprefix("hf://") if name.startswith("hf://") else short.split("/", 1)[1])
    if _HUB.fullmatch(short):
        return _hub(name, short)
    return _registry(name, short)


def is_remote(name: str) -> bool:
    """Whether a name can only mean a model to be fetched: not a single word, which may be a slip or a path."""
    try:
        parse(name)
    except ModelNotFoundError:
        return False
    return names_a_published_model(name) or ":" in name or name.count("/") == 1


def names_a_published_model(word: str) -> bool:
    """Whether a word is one of the published models' names, or says by its form where a model comes from."""
    return word.lower() in ALIASES or word.startswith(("ollama://", "hf://", *_HUB_HOSTS, *_OLLAMA_HOSTS))


def quant_of(file: str) -> str | None:
    """The quantisation that a GGUF file's name ends with: `gpt-oss-20b-Q4_K_M-00001-of-00002.gguf` has Q4_K_M."""
    stem = re.sub(r"(-\d{5}-of-\d{5})?\.gguf$", "", file.rsplit("/", 1)[-1])
    match = re.search(rf"(?:^|[-._])({_QUANT.pattern})$", stem, re.IGNORECASE)
    return match[1].upper() if match else None


def _hub(typed: str, text: str) -> HubName:
    text = re.sub(r"/(?:tree|blob|resolve)/", "@", text.split("?")[0].rstrip("/"), count=1)
    match = _HUB.fullmatch(text)
    if not match or any(bad in text for bad in ("--", "..", "//")):
        raise ModelNotFoundError(f"{typed!r:.120} is no name of a repository; openai/gpt-oss-20b is of the right form")
    revision = match[3]
    if revision is None:
        return HubName(f"{match[1]}/{match[2]}")
    if _QUANT.fullmatch(revision):
        return HubName(f"{match[1]}/{match[2]}", quant=revision.upper())
    return HubName(f"{match[1]}/{match[2]}", revision="main" if revision == "latest" else revision.rstrip("/"))


def _registry(typed: str, text: str) -> RegistryName:
    match = _REGISTRY.fullmatch(text)
    if not match or ".." in text:
        raise ModelNotFoundError(
            f"{typed!r:.120} is no name of a model; gpt-oss:20b, openai/gpt-oss-20b and ollama://gpt-oss:20b are"
        )
    return RegistryName(match[3], match[4] or "latest", match[2] or "library", (match[1] or DEFAULT_REGISTRY).lower())

"""Which files of a repository are fetched: those of one layout, and of GGUF those of one quantisation.

A repository often holds a model several times: gpt-oss-20b's has it for Hugging Face at its top, and again in
`original/` and `metal/`. Safetensors at the top come first, then GGUF.
"""

import re
from collections.abc import Collection, Mapping

from ossia.checkpoint.sources.names import quant_of
from ossia.errors import DownloadError

__all__ = ["BESIDE", "READABLE", "select"]

BESIDE = (
    "model.safetensors.index.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "config.json",
)
"""Small files of a Hugging Face checkpoint: what we read, and what transformers needs beside it."""

READABLE = ("MXFP4", "MXFP4_MOE", "BF16", "F16", "F32", "Q8_0")
"""Quantisations of GGUF files that are read here, the preferred first."""

_SHARD = re.compile(r"model(-(\d{5})-of-\d{5})?\.safetensors")
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


def select(files: Collection[str], quant: str | None, where: str) -> tuple[str, ...]:
    """The files to fetch, weights first. Raises DownloadError, which says what there is, when nothing fits."""
    shards = sorted(name for name in files if _SHARD.fullmatch(name))
    if shards and quant is None and "config.json" in files:
        whole = [name for name in shards if name == "model.safetensors"]
        return (*(whole or shards), *(name for name in BESIDE if name in files))
    ggufs = _by_quant(files)
    if not ggufs:
        raise DownloadError(f"{where} has neither config.json with model*.safetensors nor GGUF files{_instead(files)}")
    chosen = quant or next((one for one in READABLE if one in ggufs), None)
    if chosen is None and set(ggufs) == {""}:
        chosen = ""
    if chosen is None or chosen not in ggufs or (quant is not None and quant not in READABLE):
        has = ", ".join(sorted(one or "unnamed" for one in ggufs))
        raise DownloadError(
            f"{where} has GGUF files of {has}; {', '.join(READABLE)} are read here. `ossia pull gpt-oss:20b` gets the "
            "published weights"
        )
    return _one_model(ggufs[chosen], where)


def _by_quant(files: Collection[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(files):
        # Beside the model: vision towers, and importance matrices of whoever quantised it.
        if name.endswith(".gguf") and not re.search(r"(^|/)(mmproj|imatrix)|imatrix\.gguf$", name):
            found.setdefault(quant_of(name) or "", []).append(name)
    return found


def _one_model(names: list[str], where: str) -> tuple[str, ...]:
    """All parts of the one model among files of a quantisation."""
    stems = {_PART.sub("", name) for name in names}
    if len(stems) > 1:
        raise DownloadError(f"{where} has several GGUF models: {', '.join(names)[:300]}; a repository of one is right")
    match = _PART.search(names[0])
    if match and len(names) != int(match[2]):
        raise DownloadError(f"{where} has {len(names)} of the {int(match[2])} parts of {names[0]}; all are right")
    return tuple(names)


def _instead(files: Collection[str]) -> str:
    if any(name.endswith((".bin", ".pt", ".pth")) for name in files):
        return "; its weights are pickled, which may run any code and is not read here"
    return "; openai/gpt-oss-20b is of the right form"

"""Writing a checkpoint of any layout, tensor by tensor, in whatever order the tensors come.

Every tensor's place is known from the config before the first byte, so nothing is held in memory: a tensor is written
where it belongs, 16 MiB at a time. All goes under a temporary name beside the target, which gets its own name when it
is complete (see `disk`).
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast, get_args

from ossia.checkpoint.checkpoint import Vocabulary
from ossia.checkpoint.disk import new_file
from ossia.checkpoint.folder_writer import config_file, write_folder
from ossia.checkpoint.gguf_metadata import metadata_of, vocabulary_of
from ossia.checkpoint.gguf_writer import GgufStream, Style
from ossia.checkpoint.layouts import Layout, places
from ossia.checkpoint.streams import Progress, Source, each_once
from ossia.checkpoint.tensors import Experts, expected_tensors
from ossia.config import ModelConfig
from ossia.errors import CheckpointError
from ossia.mxfp4 import Packed

__all__ = ["write"]

_SHARD_BYTES = 5_000_000_000


def write(
    path: Path | str,
    config: ModelConfig,
    tensors: Mapping[str, Source] | Iterable[tuple[str, Source]],
    layout: Layout | Style = "hugging_face",
    *,
    experts: Experts | None = None,
    tokenizer: bytes | None = None,
    vocabulary: Vocabulary | None = None,
    generation: Mapping[str, Any] | None = None,
    beside: Mapping[str, bytes] | None = None,
    shard_bytes: int = _SHARD_BYTES,
    progress: Progress | None = None,
    lossy: bool = False,
) -> None:
    """Writes a checkpoint: a folder, or for the layouts "gguf" (llama.cpp's) and "ollama" a file.

    `tensors` are named as in `expected_tensors`, in any order, each once. `experts` says how the experts' weights come;
    by default as the mapping has them, MXFP4 when it is an iterable. float32 values must be bfloat16 values, unless
    `lossy` allows them to be rounded to nearest even. `tokenizer` is the `tokenizer.json`; without it or `vocabulary`
    other programs cannot use a GGUF file. `beside` are further files of the folder.

    Raises CheckpointError when `path` is taken, or for a folder the name of a file (.gguf, .safetensors), or the layout
    has no place for something, TensorError for a tensor that is unknown, missing, of another shape or format, or would
    lose precision, CapacityError when the disk is too small (checked before, and during).
    """
    known = (*get_args(Layout), *get_args(Style))
    if layout not in known:
        raise CheckpointError(f"there is no layout {layout!r}; {', '.join(known)} are right")
    if layout not in get_args(Style) and Path(path).suffix in (".gguf", ".safetensors"):
        raise CheckpointError(
            f"{path}: the layout {layout} is a folder, and this is the name of a file; "
            f"{Path(path).with_suffix('')} is right, or the layout gguf with a name that ends in .gguf"
        )
    if isinstance(tensors, Mapping):
        mapping = cast(Mapping[str, Source], tensors)
        experts, tensors = experts or _experts_of(mapping), mapping.items()
    experts = experts or "mxfp4"
    specs = expected_tensors(config, experts)
    each = each_once(tensors, specs)
    beside = dict(beside or {})
    if layout in ("gguf", "ollama"):
        if beside:
            raise CheckpointError(f"a GGUF file has no place for {next(iter(beside))}; no files beside it are right")
        vocabulary = vocabulary or (vocabulary_of(tokenizer, config.vocab_size) if tokenizer else None)
        metadata = metadata_of(config, layout, experts, vocabulary, tokenizer, generation)
        _write_gguf(Path(path), GgufStream(specs, metadata, layout), each, progress, lossy)
        return
    table = places(config, layout, experts)
    beside["config.json"] = config_file(config, layout, experts)
    if generation:
        beside["generation_config.json"] = json.dumps(dict(generation), indent=2).encode() + b"\n"
    if tokenizer is not None:
        beside["tokenizer.json"] = tokenizer
    write_folder(Path(path), table, each, beside, shard_bytes, progress, lossy)


def _write_gguf(
    path: Path, stream: GgufStream, each: Iterable[tuple[str, Source]], progress: Progress | None, lossy: bool
) -> None:
    with new_file(path, stream.bytes) as file, file.open("wb") as handle:
        stream.begin(handle)
        for name, tensor in each:
            stream.write(handle, name, tensor, progress, lossy)


def _experts_of(tensors: Mapping[str, Source]) -> Experts:
    down = tensors.get("model.layers.0.mlp.experts.down_proj")
    return "mxfp4" if down is None or isinstance(down, Packed) or down.dtype == "mxfp4" else "bfloat16"

"""Writing a checkpoint of any layout, tensor by tensor, in whatever order the tensors come.

Every tensor's place is known from the config before the first byte, so nothing is held in memory: a tensor is written
where it belongs, 16 MiB at a time. All goes under a temporary name beside the target, which gets its own name when it
is complete (see `disk`).
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from ossia.checkpoint import safetensors
from ossia.checkpoint.checkpoint import Vocabulary
from ossia.checkpoint.disk import new_file, new_folder
from ossia.checkpoint.folder import INDEX
from ossia.checkpoint.gguf_metadata import metadata_of, vocabulary_of
from ossia.checkpoint.gguf_writer import GgufStream, Style
from ossia.checkpoint.layouts import Layout, Place, part_of, places
from ossia.checkpoint.streams import Progress, chunks, each_once, to_bfloat16
from ossia.checkpoint.tensors import Experts, Tensor, expected_tensors
from ossia.config import ModelConfig
from ossia.mxfp4 import Packed

__all__ = ["write"]

_SHARD_BYTES = 5_000_000_000

# Of the experts' layers only; the rest stays bfloat16. Source: config.json of gpt-oss-20b.
_QUANTIZATION = {
    "modules_to_not_convert": [
        "model.layers.*.self_attn",
        "model.layers.*.mlp.router",
        "model.embed_tokens",
        "lm_head",
    ],
    "quant_method": "mxfp4",
}


def write(
    path: Path | str,
    config: ModelConfig,
    tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]],
    layout: Layout | Style = "hugging_face",
    *,
    experts: Experts | None = None,
    tokenizer: bytes | None = None,
    vocabulary: Vocabulary | None = None,
    generation: Mapping[str, Any] | None = None,
    shard_bytes: int = _SHARD_BYTES,
    progress: Progress | None = None,
    lossy: bool = False,
) -> None:
    """Writes a checkpoint: a folder, or for the layouts "gguf" (llama.cpp's) and "ollama" a file.

    `tensors` are named as in `expected_tensors`, in any order, each once. `experts` says how the experts' weights come;
    by default as the mapping has them, MXFP4 when it is an iterable. float32 values must be bfloat16 values, unless
    `lossy` allows them to be rounded to nearest even. `tokenizer` is the `tokenizer.json`; without it or `vocabulary`
    other programs cannot use a GGUF file.

    Raises CheckpointError when `path` is taken, TensorError for a tensor that is unknown, missing, of another shape or
    format, or would lose precision, CapacityError when the disk is too small (checked before, and during).
    """
    if isinstance(tensors, Mapping):
        experts = experts or _experts_of(tensors)
        tensors = tensors.items()
    experts = experts or "mxfp4"
    each = each_once(tensors, expected_tensors(config, experts))
    if layout in ("gguf", "ollama"):
        vocabulary = vocabulary or (vocabulary_of(tokenizer, config.vocab_size) if tokenizer else None)
        metadata = metadata_of(config, layout, experts, vocabulary, tokenizer, generation)
        _write_gguf(Path(path), GgufStream(expected_tensors(config, experts), metadata, layout), each, progress, lossy)
        return
    table = places(config, layout, experts)
    shards = _shards(table, shard_bytes)
    with new_folder(Path(path), sum(_stored_bytes(shard) for shard in shards)) as folder:
        with _Shards(folder, shards, progress) as files:
            for name, tensor in each:
                for place in table[name]:
                    files.write(place, part_of(tensor, place.part), name, lossy)
        _write_beside(folder, _config(config, layout, experts), generation, tokenizer)


def _write_gguf(
    path: Path, stream: GgufStream, each: Iterable[tuple[str, Tensor]], progress: Progress | None, lossy: bool
) -> None:
    with new_file(path, stream.bytes) as file, file.open("wb") as handle:
        stream.begin(handle)
        for name, tensor in each:
            stream.write(handle, name, tensor, progress, lossy)


def _write_beside(
    folder: Path, config: dict[str, Any], generation: Mapping[str, Any] | None, tokenizer: bytes | None
) -> None:
    """The files that stand beside the tensors."""
    _write_json(folder / "config.json", config)
    if generation:
        _write_json(folder / "generation_config.json", generation)
    if tokenizer is not None:
        (folder / "tokenizer.json").write_bytes(tokenizer)


def _experts_of(tensors: Mapping[str, Tensor]) -> Experts:
    down = tensors.get("model.layers.0.mlp.experts.down_proj")
    return "mxfp4" if down is None or isinstance(down, Packed) else "bfloat16"


Shard = dict[str, Place]


def _shards(table: Mapping[str, tuple[Place, ...]], shard_bytes: int) -> list[Shard]:
    """The file's tensors cut into shards of at most `shard_bytes`, or of one tensor larger than that."""
    shards: list[Shard] = [{}]
    for place in {place.name: place for kept in table.values() for place in kept}.values():
        if shards[-1] and _stored_bytes(shards[-1]) + _stored_bytes({place.name: place}) > shard_bytes:
            shards.append({})
        shards[-1][place.name] = place
    return shards


def _stored_bytes(shard: Shard) -> int:
    return sum(math.prod(place.shape) * safetensors.DTYPES[place.dtype].itemsize for place in shard.values())


class _Shards:
    """The open files of a checkpoint, and where in them each tensor goes."""

    def __init__(self, folder: Path, shards: list[Shard], progress: Progress | None) -> None:
        self._folder = folder
        self._shards = shards
        self._progress = progress
        self._homes: dict[str, tuple[BinaryIO, safetensors.Slot]] = {}
        self._files: list[BinaryIO] = []
        self._done = 0
        self._total = sum(_stored_bytes(shard) for shard in shards)

    def __enter__(self) -> Self:
        weight_map: dict[str, str] = {}
        for number, shard in enumerate(self._shards, 1):
            name = _shard_name(number, len(self._shards))
            self._open(self._folder / name, shard)
            weight_map |= dict.fromkeys(shard, name)
        if len(self._shards) > 1:
            _write_json(self._folder / INDEX, {"metadata": {"total_size": self._total}, "weight_map": weight_map})
        return self

    def _open(self, file: Path, shard: Shard) -> None:
        tensors = {name: (place.dtype, place.shape) for name, place in shard.items()}
        opening, slots = safetensors.header(tensors, {"format": "pt"})
        handle = file.open("wb")
        self._files.append(handle)
        handle.write(opening)
        self._homes |= {name: (handle, slot) for name, slot in slots.items()}

    def write(self, place: Place, values: np.ndarray, name: str, lossy: bool) -> None:
        handle, slot = self._homes[place.name]
        row_bytes = math.prod(place.shape[1:]) * safetensors.DTYPES[place.dtype].itemsize
        handle.seek(slot.start + place.row * row_bytes)
        for chunk in chunks(values):
            stored = chunk if place.dtype == "U8" else to_bfloat16(chunk, name, lossy)
            handle.write(np.ascontiguousarray(stored).view(np.uint8).data)
            self._done += stored.nbytes
            if self._progress:
                self._progress(self._done, self._total)

    def __exit__(self, *_: object) -> None:
        for handle in self._files:
            handle.close()


def _shard_name(number: int, of: int) -> str:
    return "model.safetensors" if of == 1 else f"model-{number:05}-of-{of:05}.safetensors"


def _config(config: ModelConfig, layout: Layout, experts: Experts) -> dict[str, Any]:
    if layout == "original":
        return config.to_original_dict()
    return config.to_dict() | ({"quantization_config": _QUANTIZATION} if experts == "mxfp4" else {})


def _write_json(file: Path, data: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(data, indent=2) + "\n", "utf-8")

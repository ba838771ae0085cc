"""Writing the folders of the two safetensors layouts."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from ossia.checkpoint import safetensors
from ossia.checkpoint.disk import new_folder
from ossia.checkpoint.folder import INDEX
from ossia.checkpoint.layouts import Layout, Place, part_of
from ossia.checkpoint.streams import Progress, Source, pieces, to_bfloat16
from ossia.checkpoint.tensors import Experts
from ossia.config import ModelConfig
from ossia.errors import CheckpointError

__all__ = ["config_file", "write_folder"]

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

Shard = dict[str, Place]


def write_folder(
    path: Path,
    table: Mapping[str, tuple[Place, ...]],
    each: Iterable[tuple[str, Source]],
    beside: Mapping[str, bytes],
    shard_bytes: int,
    progress: Progress | None,
    lossy: bool,
) -> None:
    """Writes tensors to where `table` has them, and the files that stand beside them."""
    shards = _shards(table, shard_bytes)
    needed = sum(_stored_bytes(shard) for shard in shards) + sum(map(len, beside.values()))
    with new_folder(path, needed) as folder:
        with _Shards(folder, shards, progress) as files:
            for name, tensor in each:
                for row, piece in pieces(tensor):
                    for place in table[name]:
                        files.write(place, row, part_of(piece, place.part), name, lossy)
        for name, data in beside.items():
            (folder / name).write_bytes(data)


def config_file(config: ModelConfig, layout: Layout, experts: Experts) -> bytes:
    """The `config.json` of a layout. Raises CheckpointError when `original` has no place for what the config says."""
    data = config.to_dict() | ({"quantization_config": _QUANTIZATION} if experts == "mxfp4" else {})
    if layout == "original":
        data = config.to_original_dict()
        read = ModelConfig.from_dict(data)
        own = {key: value for key, value in vars(config).items() if key not in ("eos_token_id", "pad_token_id")}
        if lost := [key for key, value in own.items() if getattr(read, key) != value]:
            right = str(getattr(read, lost[0]))
            raise CheckpointError(
                f"the original layout has no place for {lost[0]} {own[lost[0]]!s:.80}; {right:.80} is right"
            )
    return json.dumps(data, indent=2).encode() + b"\n"


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
            index = {"metadata": {"total_size": self._total}, "weight_map": weight_map}
            (self._folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", "utf-8")
        return self

    def _open(self, file: Path, shard: Shard) -> None:
        tensors = {name: (place.dtype, place.shape) for name, place in shard.items()}
        opening, slots = safetensors.header(tensors, {"format": "pt"})
        handle = file.open("wb")
        self._files.append(handle)
        handle.write(opening)
        self._homes |= {name: (handle, slot) for name, slot in slots.items()}

    def write(self, place: Place, row: int, values: np.ndarray, name: str, lossy: bool) -> None:
        """Rows of one tensor, from `row` on, of the place that it has in the file."""
        handle, slot = self._homes[place.name]
        row_bytes = math.prod(place.shape[1:]) * safetensors.DTYPES[place.dtype].itemsize
        stored = values if place.dtype == "U8" else to_bfloat16(values, name, lossy)
        handle.seek(slot.start + (place.row + row) * row_bytes)
        handle.write(np.ascontiguousarray(stored).view(np.uint8).data)
        self._done += stored.nbytes
        if self._progress:
            self._progress(self._done, self._total)

    def __exit__(self, *_: object) -> None:
        for handle in self._files:
            handle.close()


def _shard_name(number: int, of: int) -> str:
    return "model.safetensors" if of == 1 else f"model-{number:05}-of-{of:05}.safetensors"

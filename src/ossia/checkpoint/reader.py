"""Opening a checkpoint of any layout: its config, and its tensors under one set of names, without reading them.

Safetensors checkpoints are memory-mapped, and every tensor is a read-only view of the map. Opening touches the headers
alone, so that a model larger than memory opens at once. One check needs the data and is left to whoever first uses a
tensor: `mxfp4.check_scales(packed, name)`, for the scale byte that is no number; backends call it as they prepare a
tensor. It reads 1/17 of the tensor.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from ossia.checkpoint import safetensors
from ossia.checkpoint.layouts import Place, assemble, experts_in, layout_of, places
from ossia.checkpoint.tensors import Experts, Tensor, expected_tensors
from ossia.config import ModelConfig
from ossia.errors import CheckpointError, ModelNotFoundError, TensorError

__all__ = ["Checkpoint", "LazyTensors", "Vocabulary", "open_checkpoint"]

INDEX = "model.safetensors.index.json"


class LazyTensors(Mapping[str, Tensor]):
    """Tensors by name, each made when it is asked for: a view of a map, or what GGUF needs computed."""

    def __init__(self, makers: Mapping[str, Callable[[], Tensor]]) -> None:
        self._makers = dict(makers)

    def __getitem__(self, name: str) -> Tensor:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __contains__(self, name: object) -> bool:
        return name in self._makers


@dataclass(frozen=True)
class Vocabulary:
    """What GGUF keeps instead of a `tokenizer.json`: tokens by id, their GGUF types, merges by rank."""

    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Checkpoint:
    """An open checkpoint.

    tensors     by the names of `expected_tensors`; bfloat16 or MXFP4 as stored, float32 where the file has F32 or Q8_0
    stored      the file's own format of each tensor: BF16, F32, Q8_0, MXFP4
    experts     how the experts' weights are kept
    tokenizer   the bytes of the folder's `tokenizer.json`; gguf_vocabulary stands in for it in GGUF
    generation  `generation_config.json`; empty when there is none
    layout      hugging_face, original, gguf (as llama.cpp writes it) or ollama
    bytes       size of the mapped files
    """

    path: Path
    config: ModelConfig
    layout: str
    experts: Experts
    tensors: Mapping[str, Tensor]
    stored: Mapping[str, str]
    tokenizer: bytes | None = None
    gguf_vocabulary: Vocabulary | None = None
    generation: Mapping[str, Any] = field(default_factory=dict)
    bytes: int


def open_checkpoint(path: Path | str) -> Checkpoint:
    """Opens a folder of the Hugging Face or the `original/` layout.

    Raises ModelNotFoundError when there is nothing of that name, ConfigError, CheckpointError or TensorError when it
    is there but cannot be right.
    """
    path = Path(path)
    if not path.exists():
        raise ModelNotFoundError(f"{path}: no such file or folder")
    return _open_folder(path if path.is_dir() else path.parent)


def _open_folder(folder: Path) -> Checkpoint:
    config = ModelConfig.read(folder)
    found = _read_shards(folder)
    layout, experts = layout_of(found), experts_in(found)
    table = places(config, layout, experts)
    try:
        _check_found(found, table)
    except TensorError as error:
        raise TensorError(f"{folder}: {error}") from error
    rows = {name: spec.shape[0] for name, spec in expected_tensors(config, experts).items()}
    return Checkpoint(
        path=folder,
        config=config,
        layout=layout,
        experts=experts,
        tensors=LazyTensors({name: _maker(found, kept, rows[name]) for name, kept in table.items()}),
        stored={name: _stored(found[kept[0].name]) for name, kept in table.items()},
        bytes=sum(array.nbytes for array in found.values()),
        tokenizer=_tokenizer(folder, layout),
        generation=_read_object(folder / "generation_config.json"),
    )


def _maker(found: Mapping[str, np.ndarray], kept: tuple[Place, ...], rows: int) -> Callable[[], Tensor]:
    return lambda: assemble(found, kept, rows)


def _stored(array: np.ndarray) -> str:
    return {"bfloat16": "BF16", "float32": "F32", "uint8": "MXFP4"}[str(array.dtype)]


def _read_shards(folder: Path) -> dict[str, np.ndarray]:
    """The tensors of all safetensors files of a folder; where there is an index, of those it names."""
    index = _read_index(folder)
    files = sorted({*index.values()} if index else {file.name for file in folder.glob("*.safetensors")})
    if not files:
        raise CheckpointError(f"{folder}: no *.safetensors file; a folder that holds a checkpoint is right")
    found: dict[str, np.ndarray] = {}
    home: dict[str, str] = {}
    for file in files:
        tensors = safetensors.read_file(folder / file)
        if twice := sorted(found.keys() & tensors.keys()):
            raise TensorError(f"{folder}: {twice[0]} is in {home[twice[0]]} and in {file}; once is right")
        found |= tensors
        home |= dict.fromkeys(tensors, file)
    if index and index != home:
        name = sorted(name for name in index.keys() | home.keys() if index.get(name) != home.get(name))[0]
        raise TensorError(f"{folder}: {INDEX} has {name} in {index.get(name)}, but it is in {home.get(name)}")
    return found


def _read_index(folder: Path) -> dict[str, str]:
    """Tensor to file, as the index says; empty when there is none."""
    data = _read_object(folder / INDEX)
    weights = data.get("weight_map", {})
    if not isinstance(weights, dict) or (data and not weights):
        raise CheckpointError(f"{folder / INDEX}: weight_map is {weights!r:.80}; tensor names to files is right")
    for name, file in weights.items():
        # A path here would let a checkpoint map files from anywhere.
        if not isinstance(file, str) or file != Path(file).name:
            raise CheckpointError(f"{folder / INDEX}: {name} is in {file!r:.80}; a file of this folder is right")
    return weights


def _read_object(file: Path) -> dict[str, Any]:
    """A JSON object; empty when there is no such file."""
    try:
        data = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: not readable JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{file}: holds a JSON {type(data).__name__}; an object is right")
    return data


def _check_found(found: Mapping[str, np.ndarray], table: Mapping[str, tuple[Place, ...]]) -> None:
    """Refuses tensors that are missing, unknown, or of another shape or dtype than the config calls for."""
    known = {place.name: place for kept in table.values() for place in kept}
    if missing := [name for name in known if name not in found]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise TensorError(
            f"{missing[0]}{more} missing; the config calls for {len(known)} tensors, {len(found)} are here"
        )
    if unknown := [name for name in found if name not in known]:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise TensorError(
            f"{unknown[0]}{more} unknown; the config calls for {len(known)} tensors, {len(found)} are here"
        )
    for name, place in known.items():
        _check_place(name, found[name], place)


def _check_place(name: str, array: np.ndarray, place: Place) -> None:
    # float32 holds every bfloat16 value: what a model trained in float32 is saved as.
    right = {"U8": (np.uint8,), "BF16": (ml_dtypes.bfloat16, np.float32)}[place.dtype]
    if array.shape != place.shape or array.dtype not in right:
        names = " or ".join(str(np.dtype(one)) for one in right)
        raise TensorError(f"{name} is {array.dtype} {list(array.shape)}; {names} {list(place.shape)} is right")


def _tokenizer(folder: Path, layout: str) -> bytes | None:
    """The folder's `tokenizer.json`; for `original/`, which has none of its own, the one beside it."""
    for place in (folder, folder.parent) if layout == "original" and folder.name == "original" else (folder,):
        if (place / "tokenizer.json").is_file():
            return (place / "tokenizer.json").read_bytes()
    return None

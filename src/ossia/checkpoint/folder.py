"""Opening a folder of safetensors files, of either published layout.

Every tensor is a read-only view of the files' memory maps. Only the headers are read.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from ossia.checkpoint import safetensors
from ossia.checkpoint.checkpoint import Checkpoint, LazyTensors
from ossia.checkpoint.layouts import Place, assemble, experts_in, layout_of, places
from ossia.checkpoint.tensors import Tensor, expected_tensors
from ossia.config import ModelConfig
from ossia.errors import CheckpointError, ConfigError, TensorError
from ossia.files import read_regular
from ossia.json_words import kind

__all__ = ["INDEX", "open_folder"]

INDEX = "model.safetensors.index.json"
"""The file that says which shard has which tensor."""


def open_folder(folder: Path) -> Checkpoint:
    """Opens a folder with `config.json` and `*.safetensors`.

    Raises ConfigError, CheckpointError or TensorError when something in it cannot be right.
    """
    config = ModelConfig.read(folder)
    generation = _read_object(_beside(folder, "generation_config.json"))
    found = _plain_names(_read_shards(folder))
    try:
        layout, experts = layout_of(found), experts_in(found)
        table = places(config, layout, experts)
        _check_found(found, table)
    except (CheckpointError, ConfigError) as error:
        raise type(error)(f"{folder}: {error}") from error
    rows = {name: spec.shape[0] for name, spec in expected_tensors(config, experts).items()}
    return Checkpoint(
        path=folder,
        config=_with_ids(config, generation),
        layout=layout,
        experts=experts,
        tensors=LazyTensors({name: _maker(found, kept, rows[name]) for name, kept in table.items()}),
        stored={name: _stored(found[kept[0].name]) for name, kept in table.items()},
        bytes=sum(array.nbytes for array in found.values()),
        tokenizer=_read(_beside(folder, "tokenizer.json")),
        generation=generation,
    )


def _maker(found: Mapping[str, np.ndarray], kept: tuple[Place, ...], rows: int) -> Callable[[], Tensor]:
    return lambda: assemble(found, kept, rows)


def _stored(array: np.ndarray) -> str:
    return {"bfloat16": "BF16", "float32": "F32", "uint8": "MXFP4"}[str(array.dtype)]


def _with_ids(config: ModelConfig, generation: Mapping[str, Any]) -> ModelConfig:
    """The config with the token ids that `original/` has no keys for, where `generation_config.json` has them."""
    end, pad = generation.get("eos_token_id"), generation.get("pad_token_id")
    first = end[0] if isinstance(end, list) and end else end
    ids = {"eos_token_id": first, "pad_token_id": pad}
    lacking = {key: value for key, value in ids.items() if type(value) is int and getattr(config, key) is None}
    return dataclasses.replace(config, **lacking)


def _plain_names(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors, with bfloat16 experts under their own name.

    transformers 5 loads an MXFP4 checkpoint without kernels as bfloat16, and saves that under the name of the blocks.
    """
    plain: dict[str, np.ndarray] = {}
    for name, array in found.items():
        stem = name.removesuffix("_blocks")
        dense = array.dtype != np.uint8 and not found.keys() & {stem, f"{stem}_scales"}
        plain[stem if dense else name] = array
    return plain


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
        where = home.get(name, "none of the files it names")
        raise TensorError(f"{folder}: {INDEX} has {name} in {index.get(name, 'no file')}, but it is in {where}")
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
    content = _read(file)
    try:
        data = {} if content is None else json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: not readable JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{file}: holds a JSON {kind(data)}; an object is right")
    return data


def _read(file: Path) -> bytes | None:
    """A small file; None when there is none of this name."""
    try:
        return read_regular(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror or error}") from error


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


def _beside(folder: Path, name: str) -> Path:
    """A file of the folder; for `original/`, which has none of its own, the one in the folder around it."""
    around = folder.parent / name
    return around if folder.name == "original" and not (folder / name).exists() and around.exists() else folder / name

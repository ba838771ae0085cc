"""From one layout to another, with a hash of every tensor as proof that nothing changed on the way.

A tensor's hash is the SHA-256 of its values as little-endian float32, whatever the file keeps them in (every bfloat16
is a float32), or, for MXFP4, of its blocks' and scales' own hashes. It is taken as the tensor is written, and once more
from the finished checkpoint.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ossia.checkpoint.checkpoint import Checkpoint
from ossia.checkpoint.gguf_writer import Style
from ossia.checkpoint.layouts import Layout
from ossia.checkpoint.reader import open_checkpoint
from ossia.checkpoint.streams import Progress, Source, Streamed, pieces, to_bfloat16
from ossia.checkpoint.tensors import Tensor, expected_tensors
from ossia.checkpoint.writer import write
from ossia.errors import CheckpointError, OssiaError, TensorError
from ossia.harmony import Vocabulary
from ossia.mxfp4 import Packed, Rule, check_scales, decode, encode

__all__ = ["Conversion", "convert", "tensor_hash"]

# Files of a Hugging Face folder that its tokenizer needs, beside `tokenizer.json`.
_CARRIED = ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


@dataclass(frozen=True)
class Conversion:
    """What a conversion did: a hash for each tensor, and where it quantised, the root of the relative square error."""

    hashes: dict[str, str] = field(default_factory=dict)
    quantisation_errors: dict[str, float] = field(default_factory=dict)


def convert(
    source: Checkpoint,
    path: Path | str,
    layout: Layout | Style,
    *,
    quantise: bool = False,
    rule: Rule = "error",
    lossy: bool = False,
    progress: Progress | None = None,
) -> Conversion:
    """Writes `source` to `path` in another layout (see `write`), and reads it back to compare.

    `quantise` turns bfloat16 experts into MXFP4 by `rule` (see `mxfp4.encode`). Raises TensorError when a tensor would
    lose precision and `lossy` does not allow it, and for a scale that is no number; CheckpointError when `path` lies in
    the source, or what was written cannot be read or reads back differently (the target is removed then); and what
    `write` raises.

    GGUF names the pattern that cuts text rather than spelling it: the file says `gpt-4o`, o200k's, of every vocabulary.
    """
    if source.path.is_dir() and source.path.resolve() in Path(path).resolve().parents:
        raise CheckpointError(f"{path}: is inside of {source.path}, which is read; a place outside of it is right")
    if not lossy:
        _refuse_q8_0(source)
    done = Conversion()
    experts = "mxfp4" if quantise else source.experts
    tokenizer = source.tokenizer
    folder = layout in ("hugging_face", "original")
    if folder and tokenizer is None and source.gguf_vocabulary:
        words = source.gguf_vocabulary
        tokenizer = Vocabulary.from_gguf(words.tokens, words.types, words.merges).to_tokenizer_json()
    write(
        path,
        source.config,
        _passing(source, done, quantise, rule, lossy),
        layout,
        experts=experts,
        tokenizer=tokenizer,
        vocabulary=source.gguf_vocabulary,
        generation=source.generation,
        beside=_carried(source.path) if folder else None,
        progress=progress,
        lossy=lossy,
    )
    _verify(Path(path), done.hashes)
    return done


def _refuse_q8_0(source: Checkpoint) -> None:
    if names := [name for name, stored in source.stored.items() if stored == "Q8_0"]:
        raise TensorError(
            f"{source.path}: {names[0]} and {len(names) - 1} more are Q8_0, and would be rounded to bfloat16; "
            "--lossy allows that"
        )


def _passing(
    source: Checkpoint, done: Conversion, quantise: bool, rule: Rule, lossy: bool
) -> Iterator[tuple[str, Streamed]]:
    """The tensors of `source` on their way, each hashed as it passes."""
    for name, spec in expected_tensors(source.config, source.experts).items():
        tensor: Source = source.tensors[name]
        if isinstance(tensor, Packed):
            check_scales(tensor, f"{source.path}: {name}")
        elif quantise and len(spec.shape) == 3:
            tensor = _quantised(name, tensor, rule, done)
        yield name, _hashed(name, tensor, lossy, done)


def _quantised(name: str, tensor: np.ndarray, rule: Rule, done: Conversion) -> Streamed:
    def encoded() -> Iterator[Packed]:
        error = total = 0.0
        for expert in tensor:
            values = expert.astype(np.float32)
            packed = encode(values, rule)
            error += float(np.square(decode(packed) - values, dtype=np.float64).sum())
            total += float(np.square(values, dtype=np.float64).sum())
            yield Packed(packed.blocks[None], packed.scales[None])
        done.quantisation_errors[name] = (error / total) ** 0.5 if total else 0.0

    return Streamed(tensor.shape, "mxfp4", encoded)


def _hashed(name: str, tensor: Source, lossy: bool, done: Conversion) -> Streamed:
    def passed() -> Iterator[Tensor]:
        digest = _Digest()
        for _, piece in pieces(tensor):
            part = to_bfloat16(piece, name, lossy) if lossy and isinstance(piece, np.ndarray) else piece
            digest.update(part)
            yield part
        done.hashes[name] = digest.hexdigest()

    return Streamed(tensor.shape, "mxfp4" if isinstance(tensor, Packed) else tensor.dtype, passed)


class _Digest:
    """The hash of a tensor that comes in pieces along its first axis."""

    def __init__(self) -> None:
        self._parts = (hashlib.sha256(), hashlib.sha256())
        self._packed = False

    def update(self, piece: Tensor) -> None:
        if isinstance(piece, Packed):
            self._packed = True
            for digest, array in zip(self._parts, (piece.blocks, piece.scales), strict=True):
                digest.update(np.ascontiguousarray(array).data)
        else:
            self._parts[0].update(np.ascontiguousarray(piece.astype("<f4")).data)

    def hexdigest(self) -> str:
        if not self._packed:
            return self._parts[0].hexdigest()
        return hashlib.sha256(b"".join(digest.digest() for digest in self._parts)).hexdigest()


def tensor_hash(tensor: Source) -> str:
    """The SHA-256 of a tensor, in hexadecimal; the same in every layout."""
    digest = _Digest()
    for _, piece in pieces(tensor):
        digest.update(piece)
    return digest.hexdigest()


def _carried(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in _CARRIED if (path / name).is_file()}


def _verify(path: Path, hashes: Mapping[str, str]) -> None:
    try:
        written = open_checkpoint(path)
    except OssiaError as error:
        _remove(path)
        raise CheckpointError(f"{path}: what was written cannot be read, and was removed: {error}") from error
    for name, expected in hashes.items():
        if tensor_hash(written.tensors[name]) != expected:
            _remove(path)
            raise CheckpointError(f"{path}: {name} reads back differently from what was written; it was removed")


def _remove(path: Path) -> None:
    remove: Callable[[Path], object] = shutil.rmtree if path.is_dir() else Path.unlink
    remove(path)

"""What an open checkpoint is, whatever its layout."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ossia.checkpoint.tensors import Experts, Tensor
from ossia.config import ModelConfig

__all__ = ["Checkpoint", "LazyTensors", "Vocabulary"]


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
    stored      the file's own format of each tensor: BF16, F32, F16, Q8_0, MXFP4
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

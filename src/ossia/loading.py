"""A model opened: checkpoint found, weights handed to a backend, vocabulary, defaults, and what the memory allows."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from ossia.checkpoint import Checkpoint, Tensor, expected_tensors, find, open_checkpoint
from ossia.checkpoint.cached_files import cache_folder
from ossia.config import FULL, ModelConfig
from ossia.copies import Copies, Kept, screen_bytes
from ossia.engine import EngineConfig, LoadedModel, SamplingParams
from ossia.engine.memory import needed_bytes, slot_bytes
from ossia.errors import CapacityError, CheckpointError, RequestError, TensorError, VocabularyError
from ossia.harmony import Effort, Vocabulary
from ossia.int4 import Screened
from ossia.int8 import Int8
from ossia.model import Weights, hidden, prepare, unembed
from ossia.mxfp4 import NAN_SCALE, Packed
from ossia.ops import Batch, CacheDtype, Ops, Precision, make_ops

__all__ = [
    "Defaults",
    "Loaded",
    "Opening",
    "affordable_context",
    "available_bytes",
    "check_cache",
    "default_precision",
    "defaults_of",
    "engine_config",
    "load_weights",
    "open_weights",
    "parameters",
    "token_bytes",
    "vocabulary_of",
]

LARGE = 20e9
"""Parameters from which on speed is worth `fast`'s rounding by default: those of gpt-oss-20b and more."""

CONTROL_GROUP = Path("/sys/fs/cgroup")

GUESSES = 8
"""Tokens guessed at once from a request's own text: where all are right, more would gain little."""

CONTEXT_STEP = 1024
"""A context bounded by memory is rounded down to a multiple of this, so that it is the same from run to run."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A checkpoint whose weights a backend has taken in."""

    checkpoint: Checkpoint
    ops: Ops
    weights: Weights
    copies: Copies | None = None
    """What `fast` and `turbo` compute with in 8 bits, and what the unembedding is screened by."""
    free: int | None = None
    """Memory that could be had when the weights were opened; None where the system does not say."""

    @property
    def config(self) -> ModelConfig:
        """The model's config."""
        return self.checkpoint.config

    @property
    def model(self) -> LoadedModel:
        """What an engine runs."""
        return LoadedModel(self.ops, self.config, self.weights)

    @property
    def threads(self) -> int | None:
        """How many threads the backend computes with; None where it decides by itself."""
        return getattr(self.ops, "threads", None)

    @property
    def isa(self) -> str | None:
        """The instruction set that the backend computes with; None where it has no choice of them."""
        return getattr(self.ops, "isa", None)

    def settings(self) -> dict[str, Any]:
        """The settings in effect."""
        return {
            "backend": self.ops.name,
            "precision": str(self.ops.precision),
            "kv_cache_dtype": str(self.ops.kv_cache_dtype),
            "threads": self.threads,
        }

    def fits(self, free: int) -> bool:
        """Whether all that is computed with can stay in so many bytes of memory."""
        return self.computed_bytes <= free

    @property
    def computed_bytes(self) -> int:
        """The bytes of weights that steps read, as far as they lie in memory: the embedding gives a few rows."""
        whole = self.copies.computed_bytes(self.checkpoint) if self.copies else self.checkpoint.bytes
        embedding = self.config.vocab_size * self.config.hidden_size * 2
        return whole - embedding

    @property
    def news(self) -> list[str]:
        """What an operator should hear about: mostly nothing.

        That copies were written, or why they were not; that experts are read from the disk because memory is short.
        """
        return [line for line in (self._of_copies(), self._of_memory()) if line]

    def _of_copies(self) -> str:
        if self.copies is None or not (self.copies.written or self.copies.refused):
            return ""
        what, are = "attention and unembedding in 8 bits", "are"
        if self.copies.beside:
            what, are = "a copy of the unembedding in 8 bits", "is"
        if self.copies.refused:
            return f"{what}: not kept, and made again at the next start: {self.copies.refused}"
        size = _gib(self.copies.bytes)
        return f"{what}, {size}, {are} kept in {self.copies.kept} from now on (OSSIA_CACHE= keeps none)"

    @property
    def screened(self) -> bool:
        """Whether draws are screened by a copy of the unembedding: at `exact` in 8 bits, else in 4."""
        return self.copies is not None and self.copies.screens

    def _of_memory(self) -> str:
        if self.free is None or self.fits(self.free):
            return ""
        return (
            f"the model's {_gib(self.computed_bytes)} do not fit the {_gib(self.free)} of memory that are free: "
            "experts are read from the disk as they are chosen, which takes most of the time"
        )

    def logits(self, tokens: Sequence[int], rows: int = 64) -> Iterator[np.ndarray]:
        """The next-token logits of a sequence, [at most `rows`, V] float32 at a time, in order.

        The sequence is computed whole, without a cache, when this is called; `rows` only bounds the memory that its
        logits take. What is left to do needs no layer, and holds none.
        """
        ops, config = self.ops, self.config
        x, head = hidden(ops, config, self.weights, Batch.packed([tokens])), replace(self.weights, layers=())
        return (ops.numpy(unembed(ops, config, head, x[row : row + rows])) for row in range(0, len(tokens), rows))


@dataclass(frozen=True)
class Defaults:
    """What a checkpoint's `generation_config.json` asks for.

    Its `do_sample`, `temperature`, `top_p`, `top_k`, `min_p` and `eos_token_id` mean what they mean in transformers;
    what it does not say is as OpenAI advises for these models: temperature 1 and no filters. `reasoning_effort` is a
    key of our own. `ignored` are keys that would change the answer and are not supported.
    """

    params: SamplingParams
    effort: Effort
    stop_tokens: tuple[int, ...]
    ignored: Mapping[str, Any]


def load_weights(
    model: str | Checkpoint = "nano",
    *,
    backend: str = "native",
    precision: str | None = None,
    threads: int | None = None,
    kv_cache_dtype: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Loaded:
    """Open a checkpoint, if it is not open yet, and hand its weights to a backend; enough for logits.

    `progress` is told, tensor by tensor, what share of them the backend has asked for, from 0 to 1.

    Raises ModelNotFoundError, ConfigError, CheckpointError or TensorError when the model cannot be read, BackendError
    when the backend cannot run here.
    """
    return open_weights(
        model, backend=backend, precision=precision, threads=threads, kv_cache_dtype=kv_cache_dtype
    ).loaded(progress)


def open_weights(
    model: str | Checkpoint,
    *,
    backend: str = "native",
    precision: str | None = None,
    threads: int | None = None,
    kv_cache_dtype: str | None = None,
) -> "Opening":
    """`load_weights` in two steps, so that something else can be done between them.

    Raises ModelNotFoundError, ConfigError, CheckpointError or TensorError when the model cannot be read, BackendError
    when the backend cannot run here.
    """
    checkpoint = open_checkpoint(find(model)) if isinstance(model, str) else model
    free = available_bytes()  # before anything is made that takes some of it
    ops = make_ops(backend, precision or default_precision(checkpoint.config), threads, kv_cache_dtype)
    return Opening(checkpoint, ops, free)


class Opening:
    """A checkpoint whose weights are to be handed to a backend, and may be looked at before, beside other work."""

    def __init__(self, checkpoint: Checkpoint, ops: Ops, free: int | None) -> None:
        self._checkpoint = checkpoint
        self._ops = ops
        self._free = free
        self._looking: Future[None] | None = None
        self._copies: Copies | None = None

    def look_ahead(self) -> Self:
        """Begin to check copies and scales, with the backend's threads; what is damaged is for `loaded` to tell."""
        thread = ThreadPoolExecutor(1, "weights")
        self._looking = thread.submit(self._look)
        thread.shutdown(wait=False)
        return self

    def loaded(self, progress: Callable[[float], None] | None = None) -> Loaded:
        """Hand the weights over; `progress` is told, tensor by tensor, what share of them was, from 0 to 1.

        Raises TensorError for what cannot be right.
        """
        if self._looking is not None:
            self._looking.result()
        checkpoint, ops, copies = self._checkpoint, self._ops, self._copies
        if copies is None and _wants_copies(checkpoint, ops, self._free):
            copies = Copies.of(checkpoint, ops, cache_folder(), screens=_screens(checkpoint, ops, self._free))
        weights = _prepared(checkpoint, ops, checkpoint.tensors if copies is None else copies, progress)
        loaded = Loaded(checkpoint, ops, weights, copies, self._free)
        if loaded.free is not None:
            ops.read_ahead(experts=loaded.fits(loaded.free))
        return loaded

    def _look(self) -> None:
        """In few long calls: each is without the interpreter's lock, and may have to wait to get it back."""
        packed = _views_of_packed(self._checkpoint)
        if packed and self._ops.first_with([tensor.scales for tensor in packed.values()], NAN_SCALE) is None:
            checked = {name: replace(tensor, checked=True) for name, tensor in packed.items()}
            self._checkpoint = replace(self._checkpoint, tensors={**self._checkpoint.tensors, **checked})
        wanted = _wants_copies(self._checkpoint, self._ops, self._free)
        screens = _screens(self._checkpoint, self._ops, self._free)
        folder, precision = cache_folder(), self._ops.precision
        kept = Kept.of(self._checkpoint, precision, folder, screens=screens) if wanted else None
        if kept is not None and kept.are_sound(self._ops):
            self._copies = Copies.believed(self._checkpoint, self._ops, kept)


def _views_of_packed(checkpoint: Checkpoint) -> dict[str, Packed]:
    """The tensors in MXFP4, where they are views of the file; a GGUF's are computed each time they are asked for."""
    if checkpoint.experts != "mxfp4" or checkpoint.path.is_file():
        return {}
    return {name: tensor for name, tensor in checkpoint.tensors.items() if isinstance(tensor, Packed)}


def _prepared(
    checkpoint: Checkpoint,
    ops: Ops,
    tensors: Mapping[str, Tensor | Int8 | Screened],
    progress: Callable[[float], None] | None,
) -> Weights:
    try:
        return prepare(ops, checkpoint.config, _Counted(tensors, progress) if progress else tensors)
    except TensorError as error:  # a backend knows no files
        raise error if str(checkpoint.path) in str(error) else TensorError(f"{checkpoint.path}: {error}") from error


def _wants_copies(checkpoint: Checkpoint, ops: Ops, free: int | None) -> bool:
    """At `exact` only to screen by."""
    return ops.precision is not Precision.EXACT or _screens(checkpoint, ops, free)


def _screens(checkpoint: Checkpoint, ops: Ops, free: int | None) -> bool:
    """Whether draws are to be screened: where it is of use, and the memory holds the copy beside everything else."""
    size = screen_bytes(checkpoint.config, ops.precision)
    return ops.screens and size > 0 and (free is None or checkpoint.bytes + size <= free)


class _Counted(Mapping[str, Tensor | Int8 | Screened]):
    """Tensors by name, with a word about how many were asked for."""

    def __init__(self, tensors: Mapping[str, Tensor | Int8 | Screened], progress: Callable[[float], None]) -> None:
        self._tensors = tensors
        self._progress = progress
        self._asked = 0

    def __getitem__(self, name: str) -> Tensor | Int8 | Screened:
        self._asked += 1
        self._progress(min(self._asked / len(self._tensors), 1.0))
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def engine_config(
    loaded: Loaded, vocabulary: Vocabulary, defaults: Defaults, context: int | None = None, **settings: Any
) -> EngineConfig:
    """How an engine is to run this model: with its vocabulary's boundaries and stops, in the memory that there is.

    `context` None is `affordable_context`; `settings` are more fields of EngineConfig. Raises ConfigError for settings
    that cannot be right, CapacityError for a context that does not fit the memory.
    """
    own = {
        "context": affordable_context(loaded) if context is None else _checked_context(loaded, context),
        "boundary_tokens": (vocabulary.end, vocabulary.call, vocabulary.return_),
        "stop_tokens": tuple({*vocabulary.stop_tokens, *defaults.stop_tokens}),
        # Elsewhere a token computed beside others has other bits, and guesses could change an answer.
        "guesses": GUESSES if loaded.ops.batch_invariant else 0,
    }
    config = EngineConfig.from_dict(own | settings)
    check_cache(loaded, config)
    return config


def check_cache(loaded: Loaded, config: EngineConfig, right: str = "") -> None:
    """Refuse an engine whose cache is larger than the memory that is free; `right` is what to say would fit.

    Raises CapacityError, and ConfigError where `config` does not fit the model.
    """
    needed, free = needed_bytes(config, loaded.config, loaded.ops.stored_dtype), available_bytes()
    if free is not None and sum(needed.values()) > free:
        layers = " and ".join(f"{_gib(count)} in layers of {name}" for name, count in needed.items())
        right = right or "a shorter context, fewer requests at once (max_requests) or a smaller cache_bytes is right"
        raise CapacityError(
            f"the cache of {config.max_requests} requests of {config.context_of(loaded.config)} tokens needs "
            f"{layers}; {_gib(free)} are free; {right}"
        )


def default_precision(config: ModelConfig) -> str:
    """`exact`, which small models can afford, and `fast` from 20b on."""
    return "fast" if parameters(config) >= LARGE else "exact"


def parameters(config: ModelConfig) -> int:
    """How many weights a model with this config has."""
    return sum(spec.parameters for spec in expected_tensors(config, "bfloat16").values())


def vocabulary_of(checkpoint: Checkpoint) -> Vocabulary:
    """The vocabulary that a checkpoint brings, and the published models' where it brings none.

    Raises VocabularyError, which names the file, when it cannot be read, or has tokens that the model's embedding has
    no row for.
    """
    try:
        vocabulary, size = _read_vocabulary(checkpoint), checkpoint.config.vocab_size
        if vocabulary.size > size:
            raise VocabularyError(
                f"the tokenizer has {vocabulary.size} tokens and the model's vocab_size is {size}; a tokenizer.json "
                "with at most as many is right"
            )
    except VocabularyError as error:
        raise VocabularyError(f"{_file_of(checkpoint, 'tokenizer.json')}: {error}") from error
    return vocabulary


def _read_vocabulary(checkpoint: Checkpoint) -> Vocabulary:
    if checkpoint.tokenizer is not None:
        return Vocabulary.from_tokenizer_json(checkpoint.tokenizer)
    if (kept := checkpoint.gguf_vocabulary) is not None:
        return Vocabulary.from_gguf(kept.tokens, kept.types, kept.merges)
    return Vocabulary.embedded()


def _file_of(checkpoint: Checkpoint, name: str) -> Path:
    """Where a checkpoint has what a folder keeps in the file `name`; a GGUF is that file itself."""
    path = checkpoint.path
    if path.is_file():
        return path
    # What belongs to `original/` may lie in the folder above.
    return next((folder / name for folder in (path, path.parent) if (folder / name).exists()), path)


# What transformers would do at these values is what happens here anyway.
_NEUTRAL = {
    "num_beams": 1,
    "num_return_sequences": 1,
    "repetition_penalty": 1.0,
    "typical_p": 1.0,
    "no_repeat_ngram_size": 0,
}


def defaults_of(checkpoint: Checkpoint) -> Defaults:
    """What the checkpoint itself says about generating. Raises CheckpointError for values that cannot be right."""
    said = checkpoint.generation
    sampling = {key: said[key] for key in ("temperature", "top_p", "top_k", "min_p") if said.get(key) is not None}
    if said.get("do_sample") is False:
        sampling = {"temperature": 0.0}
    stop = said.get("eos_token_id", [])
    stop = stop if isinstance(stop, list) else [stop]
    ignored = {key: said[key] for key, neutral in _NEUTRAL.items() if said.get(key, neutral) not in (neutral, None)}
    try:
        params = SamplingParams.from_dict(sampling)
        effort = said.get("reasoning_effort", Effort.MEDIUM)
        if effort not in tuple(Effort):
            raise RequestError(f"reasoning_effort is {effort!r:.40}; {', '.join(Effort)} are right")
        return Defaults(params, Effort(effort), _stop_tokens(stop, checkpoint.config), ignored)
    except RequestError as error:
        raise CheckpointError(f"{_file_of(checkpoint, 'generation_config.json')}: {error}") from error


def _stop_tokens(said: list[Any], config: ModelConfig) -> tuple[int, ...]:
    last = config.vocab_size - 1
    for token in said:
        if token is not None and (type(token) is not int or not 0 <= token <= last):
            raise RequestError(f"eos_token_id has {token!r:.40}; token ids from 0 to {last} are right")
    return tuple(token for token in said if token is not None)


def affordable_context(loaded: Loaded) -> int:
    """The context that the model was made for, or as much of it as half of the memory beside its weights can hold."""
    most, free = loaded.config.max_position_embeddings, available_bytes()
    if free is None:
        return most
    # Weights that are not yet in memory will want their part of it, if they fit at all.
    left = max(free - max(loaded.checkpoint.bytes, loaded.computed_bytes), free // 8) // 2
    fits = left // token_bytes(loaded.config, loaded.ops.stored_dtype) // CONTEXT_STEP * CONTEXT_STEP
    return min(most, max(fits, CONTEXT_STEP))


def token_bytes(config: ModelConfig, dtype: CacheDtype) -> int:
    """The bytes of cache that one token takes in the layers that see all of them."""
    layers = max(config.layer_types.count(FULL), 1)
    return layers * slot_bytes(config, dtype)


def _checked_context(loaded: Loaded, context: int) -> int:
    each, free = token_bytes(loaded.config, loaded.ops.stored_dtype), available_bytes()
    needed = context * each
    if free is not None and needed > free and context <= loaded.config.max_position_embeddings:
        raise CapacityError(
            f"a context of {context} tokens needs {_gib(needed)} of cache, {_gib(free)} are free; "
            f"at most {free // each} is right here"
        )
    return context


def _gib(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"


def available_bytes() -> int | None:
    """Memory that can be had without swapping, within the limit of a container. None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
    return free if free is None else min(free, _container_bytes())


def _container_bytes() -> int:
    """What the limit of this process's control group leaves. Source: Linux, Documentation/admin-guide/cgroup-v2.rst."""
    folder = CONTROL_GROUP
    try:
        limit = (folder / "memory.max").read_text("ascii").strip()
        used = int((folder / "memory.current").read_text("ascii"))
        files = next(
            line for line in (folder / "memory.stat").read_text("ascii").splitlines() if line.startswith("file ")
        )
    except OSError:
        return sys.maxsize
    # Cached file pages count as used, but are given back when wanted.
    return sys.maxsize if limit == "max" else max(int(limit) - used + int(files.split()[1]), 0)

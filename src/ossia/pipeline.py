"""The Python interface: `load` opens a model, `pipeline` wraps one in the form that transformers made familiar.

model = load("nano")
print(model.chat([{"role": "user", "content": "What is 37 * 48?"}]).answer)
"""

import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ossia.assistant import Event, Turn, drive, opening, turn
from ossia.checkpoint import Checkpoint, expected_tensors, find, open_checkpoint
from ossia.config import FULL, ModelConfig
from ossia.engine import Engine, EngineConfig, LoadedModel, SamplingParams
from ossia.errors import CapacityError, CheckpointError, ConversationError, RequestError, VocabularyError
from ossia.harmony import Conversation, Effort, Message, Vocabulary
from ossia.model import Weights, hidden, prepare, unembed
from ossia.ops import Batch, Ops, Precision, make_ops

__all__ = [
    "Defaults",
    "Loaded",
    "Model",
    "available_bytes",
    "default_precision",
    "load",
    "load_weights",
    "parameters",
    "pipeline",
    "vocabulary_of",
]

LARGE = 20e9
"""Parameters from which on speed is worth `fast`'s rounding by default: those of gpt-oss-20b and more."""

ELEMENT_BYTES = {Precision.EXACT: 4, Precision.FAST: 2}
"""Bytes of a cached key or value."""

CONTROL_GROUP = Path("/sys/fs/cgroup")

CONTEXT_STEP = 1024
"""A context bounded by memory is rounded down to a multiple of this, so that it is the same from run to run."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A checkpoint whose weights a backend has taken in."""

    checkpoint: Checkpoint
    ops: Ops
    weights: Weights

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

    def settings(self) -> dict[str, Any]:
        """The settings in effect."""
        return {"backend": self.ops.name, "precision": str(self.ops.precision), "threads": self.threads}

    def logits(self, tokens: Sequence[int], rows: int = 64) -> Iterator[np.ndarray]:
        """The next-token logits of a sequence, [at most `rows`, V] float32 at a time, in order.

        The sequence is computed whole and without a cache; `rows` only bounds the memory that its logits take.
        """
        x = hidden(self.ops, self.config, self.weights, Batch.packed([tokens]))
        for start in range(0, len(tokens), rows):
            yield self.ops.numpy(unembed(self.ops, self.config, self.weights, x[start : start + rows]))


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


class Model:
    """A model ready to talk: made by `load`."""

    def __init__(self, loaded: Loaded, vocabulary: Vocabulary, engine: Engine, defaults: Defaults) -> None:
        self.loaded = loaded
        self.vocabulary = vocabulary
        self.engine = engine
        self.defaults = defaults

    def settings(self) -> dict[str, Any]:
        """The settings in effect."""
        ignored = {"generation_config_ignored": dict(self.defaults.ignored)} if self.defaults.ignored else {}
        path, context = {"path": str(self.loaded.checkpoint.path)}, {"context": self.engine.context}
        return path | self.loaded.settings() | context | ignored

    def stream(
        self,
        conversation: Conversation,
        params: SamplingParams | None = None,
        *,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Generator[Event, None, Turn]:
        """The assistant's next turn, as events while it is written; the generator returns the whole.

        `stopped` is asked between steps; once it is true, the turn ends with what there is.
        Raises ContextLengthError when the conversation does not fit the context.
        """
        return drive(turn(conversation, self.vocabulary, params or self.defaults.params), self.engine, stopped=stopped)

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        effort: str | None = None,
        date: str | None = None,
        **sampling: Any,
    ) -> Turn:
        """The assistant's next turn after messages of the form {"role": ..., "content": ...}.

        Roles are system or developer (instructions), user and assistant. `sampling` are fields of SamplingParams.
        Raises ConversationError for messages that are not of this form, RequestError for parameters that are not.
        """
        conversation = conversation_of(messages, Effort(effort) if effort else self.defaults.effort, date)
        return exhausted(self.stream(conversation, self.sampling(sampling)))

    def generate(self, prompt: str | Sequence[int], **sampling: Any) -> str:
        """The text that follows `prompt`, without any conversation around it; control tokens by their names."""
        tokens = self.vocabulary.encode(prompt) if isinstance(prompt, str) else prompt
        outputs = self.engine.generate(tokens, self.sampling(sampling))
        return self.vocabulary.decode([token for output in outputs for token in output.tokens])

    def sampling(self, changes: Mapping[str, Any]) -> SamplingParams:
        """The model's own parameters with these changed. Raises RequestError for unknown names."""
        own = self.defaults.params
        SamplingParams.from_dict(changes)
        return replace(own, **changes)


def load(
    model: str = "nano",
    *,
    backend: str = "native",
    precision: str | None = None,
    threads: int | None = None,
    context: int | None = None,
) -> Model:
    """Open a model to talk to: a path, a hub name, or `nano`.

    `precision` None is `exact`, and `fast` from 20b on. `context` None is all that the model was made for, or as much
    of it as fits half of the free memory; `Model.settings` says what came of it.

    Raises what `load_weights` raises, VocabularyError when the tokenizer cannot be read, ConfigError for a context that
    the model was not made for, CapacityError for one that does not fit the memory.
    """
    loaded = load_weights(model, backend=backend, precision=precision, threads=threads)
    vocabulary, defaults = vocabulary_of(loaded.checkpoint), defaults_of(loaded.checkpoint)
    config = EngineConfig(
        context=affordable_context(loaded) if context is None else _checked_context(loaded, context),
        max_requests=1,
        boundary_tokens=(vocabulary.end, vocabulary.call, vocabulary.return_),
        stop_tokens=tuple({*vocabulary.stop_tokens, *defaults.stop_tokens}),
    )
    return Model(loaded, vocabulary, Engine(loaded.model, config), defaults)


def load_weights(
    model: str = "nano", *, backend: str = "native", precision: str | None = None, threads: int | None = None
) -> Loaded:
    """Open a checkpoint and hand its weights to a backend; enough for logits.

    Raises ModelNotFoundError, ConfigError, CheckpointError or TensorError when the model cannot be read, BackendError
    when the backend cannot run here.
    """
    checkpoint = open_checkpoint(find(model))
    ops = make_ops(backend, precision or default_precision(checkpoint.config), threads)
    return Loaded(checkpoint, ops, prepare(ops, checkpoint.config, checkpoint.tensors))


def pipeline(task: str = "text-generation", model: str = "nano", **options: Any) -> Callable[..., list[dict[str, Any]]]:
    """A callable as transformers has them: on a list of messages, the list with the assistant's answer appended.

        generate = pipeline("text-generation", model="nano")
        generate([{"role": "user", "content": "Hello"}])[0]["generated_text"][-1]["content"]

    On a string, the string and what follows it. `options` go to `load`; the callable takes `max_new_tokens`, `effort`,
    and the fields of SamplingParams. Raises RequestError for another task, ConversationError for other input.
    """
    if task != "text-generation":
        raise RequestError(f"no pipeline is called {task!r}; 'text-generation' is")
    opened = load(model, **options)

    def generate(given: str | Sequence[Mapping[str, Any]], **wanted: Any) -> list[dict[str, Any]]:
        if "max_new_tokens" in wanted:
            wanted["max_tokens"] = wanted.pop("max_new_tokens")
        if isinstance(given, str):
            return [{"generated_text": given + opened.generate(given, **wanted)}]
        answer = {"role": "assistant", "content": opened.chat(given, **wanted).answer}
        return [{"generated_text": [*given, answer]}]

    return generate


def conversation_of(
    messages: Sequence[Mapping[str, Any]], effort: Effort = Effort.MEDIUM, date: str | None = None
) -> Conversation:
    """A conversation from messages of the form {"role": ..., "content": ...}; instructions come from their first roles.

    Raises ConversationError for messages that are not of this form.
    """
    instructions: list[str] = []
    said: list[Message] = []
    for place, message in enumerate(messages):
        match message:
            case {"role": "system" | "developer", "content": str(text)} if not said:
                instructions.append(text)
            case {"role": "user", "content": str(text)}:
                said.append(Message("user", text))
            case {"role": "assistant", "content": str(text)}:
                said.append(Message("assistant", text, channel="final"))
            case _:
                raise ConversationError(
                    f"messages[{place}] is {message!r:.80}; {{'role': 'user', 'content': 'text'}} is right, with "
                    "the roles system or developer (at the beginning), user or assistant"
                )
    return Conversation((*opening(effort, "\n\n".join(instructions) or None, date), *said))


def exhausted(events: Generator[Event, None, Turn]) -> Turn:
    """What a turn returns, its events passed over."""
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def default_precision(config: ModelConfig) -> str:
    """`exact`, which small models can afford, and `fast` from 20b on."""
    return "fast" if parameters(config) >= LARGE else "exact"


def parameters(config: ModelConfig) -> int:
    """How many weights a model with this config has."""
    return sum(spec.parameters for spec in expected_tensors(config, "bfloat16").values())


def vocabulary_of(checkpoint: Checkpoint) -> Vocabulary:
    """The vocabulary that a checkpoint brings, and the published models' where it brings none.

    Raises VocabularyError when it cannot be read, or has tokens that the model's embedding has no row for.
    """
    if checkpoint.tokenizer is not None:
        vocabulary = Vocabulary.from_tokenizer_json(checkpoint.tokenizer)
    elif (kept := checkpoint.gguf_vocabulary) is not None:
        vocabulary = Vocabulary.from_gguf(kept.tokens, kept.types, kept.merges)
    else:
        vocabulary = Vocabulary.embedded()
    if vocabulary.size > checkpoint.config.vocab_size:
        raise VocabularyError(
            f"{checkpoint.path}: the tokenizer has {vocabulary.size} tokens and the model's vocab_size is "
            f"{checkpoint.config.vocab_size}; a tokenizer.json with at most as many is right"
        )
    return vocabulary


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
        params = SamplingParams.from_dict(sampling | {"stop_tokens": [token for token in stop if token is not None]})
        return Defaults(
            replace(params, stop_tokens=None),
            Effort(said.get("reasoning_effort", Effort.MEDIUM)),
            params.stop_tokens or (),
            ignored,
        )
    except (RequestError, ValueError) as error:
        raise CheckpointError(f"{checkpoint.path / 'generation_config.json'}: {error}") from error


def affordable_context(loaded: Loaded) -> int:
    """The context that the model was made for, or as much of it as half of the memory beside its weights can hold."""
    most, free = loaded.config.max_position_embeddings, available_bytes()
    if free is None:
        return most
    # Weights that are not yet in memory will want their part of it, if they fit at all.
    left = max(free - loaded.checkpoint.bytes, free // 8) // 2
    fits = left // token_bytes(loaded) // CONTEXT_STEP * CONTEXT_STEP
    return min(most, max(fits, CONTEXT_STEP))


def token_bytes(loaded: Loaded) -> int:
    """The bytes of cache that one token takes in the layers that see all of them."""
    config = loaded.config
    layers = max(config.layer_types.count(FULL), 1)
    return layers * 2 * config.key_value_size * ELEMENT_BYTES[loaded.ops.precision]


def _checked_context(loaded: Loaded, context: int) -> int:
    needed, free = context * token_bytes(loaded), available_bytes()
    if free is not None and needed > free and context <= loaded.config.max_position_embeddings:
        raise CapacityError(
            f"a context of {context} tokens needs {needed / 2**30:.1f} GiB of cache, {free / 2**30:.1f} GiB are free; "
            f"at most {free // token_bytes(loaded)} is right here"
        )
    return context


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

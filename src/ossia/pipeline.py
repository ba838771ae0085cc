"""The Python interface: `load` opens a model, `pipeline` wraps one in the form that transformers made familiar.

model = load("nano")
print(model.chat([{"role": "user", "content": "What is 37 * 48?"}]).answer)
"""

import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date as day
from threading import Lock
from typing import Any

from ossia.assistant import Event, Loop, Turn, drive, opening, turn
from ossia.beginnings import KeptBeginnings
from ossia.checkpoint import find, open_checkpoint
from ossia.engine import Engine, EngineConfig, SamplingParams
from ossia.errors import ConversationError, RequestError
from ossia.grammar import Compiler, Late, Rules
from ossia.harmony import Conversation, Effort, Message, Vocabulary
from ossia.loading import Defaults, Loaded, defaults_of, engine_config, open_weights, vocabulary_of

__all__ = ["Model", "load", "pipeline"]

FORM = "{'role': 'user', 'content': 'text'}"
"""A message, in words of errors."""


class Model:
    """A model ready to talk: made by `load`. `start` has the seconds that each part of that took.

    It writes one answer at a time, for whatever thread: asked for another meanwhile, it raises RequestError.
    """

    def __init__(
        self, loaded: Loaded, vocabulary: Vocabulary, engine: Engine, defaults: Defaults, start: Mapping[str, float]
    ) -> None:
        self.start = start
        self.loaded = loaded
        self.vocabulary = vocabulary
        self.engine = engine
        self.defaults = defaults
        self._writing = Lock()

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

        Its outputs are Harmony, as everywhere, and end when the model goes in circles.
        `stopped` is asked between steps; once it is true, the turn ends with what there is.
        Raises ContextLengthError when the conversation does not fit the context, RequestError while the model writes
        another answer, such as that of a stream that has neither ended nor been closed.
        """
        steps = turn(conversation, self.vocabulary, params or self.defaults.params, rules=Rules(), loop=Loop())
        with self._alone():
            return (yield from drive(steps, self.engine, stopped=stopped))

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        effort: str | None = None,
        date: str | None = "today",
        **sampling: Any,
    ) -> Turn:
        """The assistant's next turn after messages of the form {"role": ..., "content": ...}.

        Roles are system or developer (instructions), user and assistant; the last is the user's. `effort` None is the
        model's default. `date` is what the model is told of the day, as YYYY-MM-DD or "today"; None tells it none.
        `sampling` are fields of SamplingParams.
        Raises ConversationError for messages that are not of this form, RequestError for parameters that are not.
        """
        conversation = conversation_of(messages, _effort(effort) or self.defaults.effort, _date(date))
        return exhausted(self.stream(conversation, self.sampling(sampling)))

    def generate(self, prompt: str | Sequence[int], **sampling: Any) -> str:
        """The text that follows `prompt`, without any conversation around it.

        In a text control tokens are read as plain text, and written by their names.
        Raises RequestError for a prompt that is neither, or that UTF-8 cannot write.
        """
        if isinstance(prompt, bytes | bytearray):
            raise RequestError(f"the prompt is {prompt!r:.80}; a text or numbers of tokens are right")
        if isinstance(prompt, str) and (half := _half_of(prompt)):
            raise RequestError(f"the prompt has {half}; whole characters are right")
        tokens = self.vocabulary.encode(prompt) if isinstance(prompt, str) else prompt
        with self._alone():
            outputs = [*self.engine.generate(tokens, self.sampling(sampling))]
        return self.vocabulary.decode([token for output in outputs for token in output.tokens])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._writing.acquire(blocking=False):
            raise RequestError(
                "the model is writing another answer; its end, or the close of its stream, is to come first "
                "(`ossia serve` answers several at once)"
            )
        try:
            yield
        finally:
            self._writing.release()

    def sampling(self, changes: Mapping[str, Any]) -> SamplingParams:
        """The model's own parameters with these changed. Raises RequestError for unknown names."""
        own = self.defaults.params
        SamplingParams.from_dict(changes)
        return replace(own, **changes)


def load(
    model: str | os.PathLike[str] = "nano",
    *,
    backend: str = "native",
    precision: str | None = None,
    threads: int | None = None,
    kv_cache_dtype: str | None = None,
    context: int | None = None,
) -> Model:
    """Open a model to talk to: a path, a hub name, or `nano`.

    `precision` None is `exact`, and `fast` from 20b on. `kv_cache_dtype` is what keys and values are kept as, `f32`,
    `bf16` or `int8`; None is f32 at `exact` and else bf16. `context` None is all that the model was made for, or
    as much of it as fits half of the free memory; `Model.settings` says what came of it.

    Raises what `load_weights` raises, RequestError for what is no name or path,
    VocabularyError when the tokenizer cannot be read, ConfigError for a context that
    the model was not made for, CapacityError for one that does not fit the memory.
    """
    start: dict[str, float] = {}
    # What can be refused is refused before the weights are loaded, which takes its time.
    with _timed(start, "checkpoint"):
        checkpoint = open_checkpoint(find(_name(model)))
        EngineConfig(context=context).context_of(checkpoint.config)
        # The other processors look at the weights while this one makes the vocabulary.
        opening = open_weights(
            checkpoint, backend=backend, precision=precision, threads=threads, kv_cache_dtype=kv_cache_dtype
        ).look_ahead()
    with _timed(start, "vocabulary"):
        vocabulary, defaults = vocabulary_of(checkpoint), defaults_of(checkpoint)
    compile_grammar = _compiling(vocabulary, start)
    with _timed(start, "weights"):
        loaded = opening.loaded()
    with _timed(start, "engine"):
        config = engine_config(loaded, vocabulary, defaults, context, max_requests=1)
        engine = Engine(loaded.model, config, compile_grammar, KeptBeginnings.of(loaded, vocabulary, config.page_size))
    return Model(loaded, vocabulary, engine, defaults, start)


@contextmanager
def _timed(parts: dict[str, float], name: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    parts[name] = time.perf_counter() - begin


def _compiling(vocabulary: Vocabulary, parts: dict[str, float]) -> Callable[[str], Late]:
    """A compiler of grammars whose tables are being built from now on, in a thread of its own."""

    def compiler_made() -> Compiler:
        with _timed(parts, "grammar_meanwhile"):
            return Compiler(vocabulary)

    thread = ThreadPoolExecutor(1, "grammar")
    compiler = thread.submit(compiler_made)
    return lambda source: Late(thread.submit(lambda: compiler.result().compile(source)))


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
            if "max_tokens" in wanted:
                raise RequestError("max_new_tokens and max_tokens are one thing; one of them is right")
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

    Raises ConversationError for messages that are not of this form, or that do not end with the user's.
    """
    if isinstance(messages, str) or not isinstance(messages, Sequence):
        raise ConversationError(f"messages are {messages!r:.80}; a list of {FORM} is right")
    instructions: list[str] = []
    said: list[Message] = []
    for place, message in enumerate(messages):
        match message:
            case {"role": "system" | "developer", "content": str(text), **more} if not more and not said:
                instructions.append(_sound(text, place))
            case {"role": "user", "content": str(text), **more} if not more:
                said.append(Message("user", _sound(text, place)))
            case {"role": "assistant", "content": str(text), **more} if not more:
                said.append(Message("assistant", _sound(text, place), channel="final"))
            case _:
                raise ConversationError(
                    f"messages[{place}] is {message!r:.80}; {FORM} is right, with the roles system or developer (at "
                    "the beginning), user or assistant, and nothing else"
                )
    if not said or said[-1].role != "user":
        raise ConversationError(f"the messages do not end with the user's; {FORM} as the last is right")
    return Conversation((*opening(effort, "\n\n".join(instructions) or None, date), *said))


def _sound(text: str, place: int) -> str:
    """A text that UTF-8 can write, as tokens do. Raises ConversationError for another."""
    if half := _half_of(text):
        raise ConversationError(f"the content of messages[{place}] has {half}; whole characters are right")
    return text


def _half_of(text: str) -> str:
    """What of a text UTF-8 cannot write, in words; nothing of most."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"half of a surrogate pair, {text[error.start]!r} at {error.start}"
    return ""


def _effort(name: str | None) -> Effort | None:
    try:
        return None if name is None else Effort(name)
    except ValueError as error:
        raise RequestError(f"effort is {name!r:.80}; {', '.join(Effort)} or None is right", param="effort") from error


def _date(given: str | None) -> str | None:
    if given is None:
        return None
    try:
        return (day.today() if given == "today" else day.fromisoformat(given)).isoformat()
    except (TypeError, ValueError) as error:
        raise RequestError(f"date is {given!r:.80}; YYYY-MM-DD, 'today' or None is right", param="date") from error


def _name(model: object) -> str:
    name = os.fspath(model) if isinstance(model, str | os.PathLike) else None
    if isinstance(name, str):
        return name
    raise RequestError(f"the model is {model!r:.80}; a path or a name, such as 'nano', is right", param="model")


def exhausted(events: Generator[Event, None, Turn]) -> Turn:
    """What a turn returns, its events passed over."""
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value

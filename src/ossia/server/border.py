"""The border between a server and the process of an engine: messages, how they are framed, and errors that cross it.

A frame is its length, four bytes with the lowest first, and one message in MessagePack. Messages are plain data of
declared types; nothing that comes over the border is ever executed or unpickled.
"""

from typing import Any

import msgspec

from ossia import errors
from ossia.engine import Finish, Logprob, Output
from ossia.errors import OssiaError

__all__ = [
    "LARGEST",
    "Add",
    "Answer",
    "Begin",
    "Cancel",
    "Command",
    "EngineStatus",
    "Failed",
    "Forget",
    "Frames",
    "Loading",
    "Question",
    "Ready",
    "Refused",
    "Reported",
    "Stepped",
    "error_of",
    "frame",
    "output_of",
    "plain",
    "raised",
]

LARGEST = 1 << 26
"""Bytes of the largest message: a prompt of a million tokens takes five million."""

LENGTH_BYTES = 4

Entry = tuple[
    int,
    tuple[int, ...],
    tuple[tuple[float, tuple[tuple[int, float], ...]], ...] | None,
    Finish | None,
    int,
    int,
    int,
    int,
    str | None,
]
"""An Output, field by field."""


class Plain(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A message: an array whose first member is the class's name."""


class Begin(Plain, frozen=True):
    """To the process, first: which model, and how to run it."""

    model: str
    backend: str
    precision: str | None
    threads: int | None
    kv_cache_dtype: str | None
    context: int | None
    settings: dict[str, Any]


class Add(Plain, frozen=True):
    """To the process: a request. `grammar` is a source; `params` are the fields of SamplingParams.

    `replay`: only the prompt's first token is a prompt, and the others are drawn again, to be scored.
    """

    number: int
    prompt: tuple[int, ...]
    params: dict[str, Any]
    grammar: str | None
    salt: bytes
    priority: int
    adapter: str | None
    replay: bool = False


class Cancel(Plain, frozen=True):
    """To the process: end a request."""

    number: int


class Question(Plain, frozen=True):
    """To the process: `what` is `status`, or `audit`, which checks all books."""

    number: int
    what: str


class Forget(Plain, frozen=True):
    """To the process: forget all prefixes kept for this salt; None forgets those of all."""

    salt: bytes | None


class Loading(Plain, frozen=True):
    """From the process: how much of the weights the backend has taken, from 0 to 1."""

    done: float


class Ready(Plain, frozen=True):
    """From the process: the model is loaded."""

    context: int
    settings: dict[str, Any]
    news: list[str] = []


class Failed(Plain, frozen=True):
    """From the process, last: why it ends."""

    kind: str
    message: str
    fields: dict[str, Any]


class Stepped(Plain, frozen=True):
    """From the process: what one step brought for each request."""

    outputs: list[Entry]


class Refused(Plain, frozen=True):
    """From the process: a request that cannot be honoured, and why."""

    number: int
    kind: str
    message: str
    fields: dict[str, Any]


class EngineStatus(Plain, frozen=True):
    """How an engine is doing: sums since it was loaded, and the moment.

    `compiling` requests wait for their grammar. `step_seconds` are those of all steps together, `last_step` those of
    the last. `silent_seconds` is for how long the process has not answered: more than a second or two is a step that
    takes that long, or one that is stuck.
    """

    running: int
    waiting: int
    compiling: int
    preemptions: int
    pages: dict[str, int]
    available_pages: dict[str, int]
    kept_pages: dict[str, int]
    steps: int
    step_seconds: float
    last_step: float
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    silent_seconds: float = 0.0

    @property
    def used_pages(self) -> dict[str, int]:
        """By kind of layer, the pages that running requests hold."""
        return {kind: size - self.available_pages[kind] for kind, size in self.pages.items()}


class Reported(Plain, frozen=True):
    """From the process: how it is doing, as the answer to `number`, or on its own account (None)."""

    number: int | None
    status: EngineStatus


class Answer(Plain, frozen=True):
    """From the process: the answer to a question other than about its status; None when all is well."""

    number: int
    found: str | None


Command = Begin | Add | Cancel | Question | Forget
"""What a server says."""

Message = Loading | Ready | Failed | Stepped | Refused | Reported | Answer
"""What the process of an engine says."""

_encoder = msgspec.msgpack.Encoder()


def frame(message: Plain) -> bytes:
    """A message as it is sent."""
    body = bytearray(LENGTH_BYTES)
    _encoder.encode_into(message, body, LENGTH_BYTES)
    body[:LENGTH_BYTES] = (len(body) - LENGTH_BYTES).to_bytes(LENGTH_BYTES, "little")
    return bytes(body)


class Frames:
    """Messages of one side, from the bytes that arrive in any pieces.

    Raises ValueError for what is no message: too long, cut into, of another type.
    """

    def __init__(self, kinds: Any) -> None:
        self._decoder = msgspec.msgpack.Decoder(kinds)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """The messages that these bytes complete."""
        buffer, start, found = self._buffer, 0, list[Any]()
        buffer += data
        while (begin := start + LENGTH_BYTES) <= len(buffer):
            length = int.from_bytes(buffer[start:begin], "little")
            if length > LARGEST:
                raise ValueError(f"a message has {length} bytes; at most {LARGEST} are right")
            if len(buffer) < begin + length:
                break
            found.append(self._decoder.decode(bytes(buffer[begin : begin + length])))
            start = begin + length
        del buffer[:start]
        return found


def plain(output: Output, number: int) -> Entry:
    """An output as it crosses the border, under the server's number for its request."""
    return (
        number,
        output.tokens,
        output.logprobs,
        output.finish,
        output.prompt_tokens,
        output.cached_tokens,
        output.generated_tokens,
        output.seed,
        output.failure,
    )


def output_of(entry: Entry) -> Output:
    """The output again."""
    number, tokens, logprobs, finish, prompt_tokens, cached_tokens, generated_tokens, seed, failure = entry
    return Output(
        request_id=number,
        tokens=tokens,
        logprobs=None if logprobs is None else tuple(Logprob(*each) for each in logprobs),
        finish=finish,
        prompt_tokens=prompt_tokens,
        cached_tokens=cached_tokens,
        generated_tokens=generated_tokens,
        seed=seed,
        failure=failure,
    )


def raised(error: BaseException) -> tuple[str, str, dict[str, Any]]:
    """An error as it crosses the border: its name, its message, and its own fields as far as they are plain."""
    fields = {key: value for key, value in vars(error).items() if isinstance(value, str | int | float | None)}
    return type(error).__name__, str(error), fields


def error_of(kind: str, message: str, fields: dict[str, Any]) -> OssiaError:
    """The error again. One that is not of Ossia's own tree comes as its root."""
    found = getattr(errors, kind, None)
    cls = found if isinstance(found, type) and issubclass(found, OssiaError) else OssiaError
    error = cls.__new__(cls, message)
    error.args = (message,)
    vars(error).update(fields)
    return error

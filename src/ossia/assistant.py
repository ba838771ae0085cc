"""One turn of a conversation, without input or output: the loop that every frontend shares.

`turn` is a generator. It yields what it needs and is sent the answer; in between it yields events and is sent None:

    yields               is sent
    Generate(prompt)     the engine's first Output for this prompt
    Proceed()            the engine's next Output for it, until one says that it is finished
    CallTool(message)    the messages with which the tool answers
    Drawn, Text, Ended   None: events, to be shown or not

and it returns a `Turn`: the messages that were added, why it ended, what it used, what had to be repaired. Whoever
drives it decides how to wait: `drive` has an engine at hand and calls it, a server has an event loop, a test has no
model at all. To stop a turn, cancel the engine's request: the Output that says so ends the turn like any other, and
what was written until then stays.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from ossia.engine import Engine, Output, SamplingParams
from ossia.harmony import (
    Conversation,
    DeveloperContent,
    Effort,
    Finished,
    Header,
    Message,
    Parsed,
    Parser,
    Repair,
    SystemContent,
    Vocabulary,
    render,
)
from ossia.harmony import Text as ParsedText

__all__ = [
    "Answer",
    "CallTool",
    "Drawn",
    "Ended",
    "Event",
    "Finish",
    "Generate",
    "Kind",
    "Proceed",
    "Text",
    "Turn",
    "Usage",
    "Want",
    "drive",
    "opening",
    "turn",
]


class Kind(StrEnum):
    """What a text of the turn is, by its message's header."""

    REASONING = "reasoning"  # analysis
    ANSWER = "answer"  # final, or no channel: nothing says that it is anything else
    PREAMBLE = "preamble"  # commentary meant for the user
    CALL = "call"  # to a tool
    OTHER = "other"  # written in the name of someone else: a model may do that too

    @classmethod
    def of(cls, header: Header | Message) -> "Kind":
        """The kind of a message, or of one that has only begun."""
        if header.role != "assistant":
            return cls.OTHER
        if header.recipient not in (None, "all"):
            return cls.CALL
        return {"analysis": cls.REASONING, "commentary": cls.PREAMBLE}.get(header.channel or "", cls.ANSWER)


@dataclass(frozen=True)
class Generate:
    """Wanted: the tokens that follow `prompt`."""

    prompt: tuple[int, ...]
    params: SamplingParams


@dataclass(frozen=True)
class Proceed:
    """Wanted: the next tokens."""


@dataclass(frozen=True)
class CallTool:
    """Wanted: what the tool answers to this message."""

    message: Message


@dataclass(frozen=True)
class Drawn:
    """Happened: these tokens were drawn, control tokens among them."""

    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Text:
    """Happened: a message went on. `recipient` is the tool that a call is for."""

    kind: Kind
    text: str
    recipient: str | None = None


@dataclass(frozen=True)
class Ended:
    """Happened: a message is complete, the assistant's or a tool's."""

    message: Message


Event = Drawn | Text | Ended
Want = Generate | Proceed | CallTool
Answer = Output | tuple[Message, ...] | None
Finish = Literal["stop", "length", "cancelled", "no_token", "tool_calls"]


@dataclass(frozen=True)
class Usage:
    """Tokens, summed over the prompts of a turn, of which each tool call makes one more."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.generated_tokens + other.generated_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True)
class Turn:
    """What the assistant did.

    `finish` is "stop" after an answer, "tool_calls" after a call that nobody here answers, "length" when the tokens ran
    out, "cancelled" when it was stopped, "no_token" when none could be drawn (weights that are not numbers, or a bias
    that forbids everything).
    """

    messages: tuple[Message, ...]
    finish: Finish
    usage: Usage
    repairs: tuple[Repair, ...]
    seed: int

    @property
    def answer(self) -> str:
        """The text meant for the user as the answer; empty if the turn ended before one."""
        return self._text(Kind.ANSWER)

    @property
    def reasoning(self) -> str:
        """The reasoning, its messages separated by empty lines."""
        return self._text(Kind.REASONING)

    def _text(self, kind: Kind) -> str:
        return "\n\n".join(message.text for message in self.messages if Kind.of(message) is kind)


def opening(effort: Effort, instructions: str | None = None, date: str | None = None) -> tuple[Message, ...]:
    """What a conversation begins with: the system's message, and the developer's if there are instructions.

    `date` is today's, as YYYY-MM-DD, if the model is to know it.
    """
    system = Message("system", SystemContent(reasoning_effort=effort, conversation_start_date=date))
    return (system,) if instructions is None else (system, Message("developer", DeveloperContent(instructions)))


def turn(
    conversation: Conversation,
    vocabulary: Vocabulary,
    params: SamplingParams | None = None,
    *,
    tools: Collection[str] = (),
) -> Generator[Want | Event, Answer, Turn]:
    """The assistant's next turn in a conversation; see the module for what it yields and is sent.

    `tools` are the recipients that CallTool may be asked for: full names such as functions.add, or namespaces such as
    browser. `params.max_tokens` bounds the whole turn. Raises ConversationError for a conversation that is not one.
    """
    params = params or SamplingParams()
    messages: list[Message] = []
    repairs: list[Repair] = []
    usage = Usage()
    while True:
        prompt = render(Conversation((*conversation.messages, *messages)), vocabulary)
        left = params.max_tokens and params.max_tokens - usage.generated_tokens
        said = yield from _said(Generate(tuple(prompt), replace(params, max_tokens=left)), vocabulary)
        messages += said.parsed.messages
        repairs += said.parsed.repairs
        usage += said.usage
        # The rounds of a turn share a seed, so that one number makes the whole of it again.
        params = replace(params, seed=said.last.seed)
        finish, call = _outcome(said, tools, params.max_tokens, usage)
        if call is None:
            return Turn(tuple(messages), finish, usage, tuple(repairs), said.last.seed)
        answers = _as_messages((yield CallTool(call)))
        messages += answers
        for message in answers:
            yield Ended(message)


@dataclass(frozen=True)
class _Said:
    """What came of one prompt."""

    parsed: Parsed
    last: Output
    usage: Usage


def _said(wanted: Generate, vocabulary: Vocabulary) -> Generator[Want | Event, Answer, _Said]:
    reader = _Reader(vocabulary)
    output = _as_output((yield wanted))
    while True:
        if output.tokens:
            yield Drawn(output.tokens)
        yield from reader.read(output.tokens)
        if output.finish:
            break
        output = _as_output((yield Proceed()))
    parsed = yield from reader.finish()
    usage = Usage(output.prompt_tokens, output.cached_tokens, output.generated_tokens, reader.reasoning_tokens)
    return _Said(parsed, output, usage)


class _Reader:
    """Tokens to events."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._parser = Parser(vocabulary)
        self._shown = 0  # characters of the message that is being read
        self.reasoning_tokens = 0

    def read(self, tokens: Sequence[int]) -> Iterator[Event]:
        for token in tokens:
            header = self._parser.header
            self.reasoning_tokens += header is not None and Kind.of(header) is Kind.REASONING
            for event in self._parser.push(token):
                match event:
                    case ParsedText(header, text):
                        self._shown += len(text)
                        yield Text(Kind.of(header), text, header.recipient)
                    case Finished(message):
                        self._shown = 0
                        yield Ended(message)
                    case _:
                        pass

    def finish(self) -> Generator[Event, Answer, Parsed]:
        """What was begun and not ended, as far as it goes."""
        complete = len(self._parser.messages)
        parsed = self._parser.finish()
        for message in parsed.messages[complete:]:
            if rest := message.text[self._shown :]:
                yield Text(Kind.of(message), rest, message.recipient)
            yield Ended(message)
        return parsed


def _outcome(
    said: _Said, tools: Collection[str], max_tokens: int | None, usage: Usage
) -> tuple[Finish, Message | None]:
    """Why the turn ends, or the call that has to be answered before it goes on."""
    finish: Finish = said.last.finish or "stop"
    last = said.parsed.messages[-1] if said.parsed.messages else None
    if finish != "stop" or last is None or Kind.of(last) is not Kind.CALL:
        return finish, None
    if not _offered(last.recipient or "", tools):
        return "tool_calls", None
    if max_tokens is not None and usage.generated_tokens >= max_tokens:
        return "length", None
    return finish, last


def _offered(recipient: str, tools: Collection[str]) -> bool:
    return recipient in tools or recipient.partition(".")[0] in tools


def _as_output(answer: Answer) -> Output:
    if not isinstance(answer, Output):
        raise TypeError(f"Generate and Proceed are answered with an Output, not {type(answer).__name__}")
    return answer


def _as_messages(answer: Answer) -> tuple[Message, ...]:
    if not isinstance(answer, tuple):
        raise TypeError(f"CallTool is answered with a tuple of messages, not {type(answer).__name__}")
    return answer


def drive(
    steps: Generator[Want | Event, Answer, Turn],
    engine: Engine,
    *,
    call_tool: Callable[[Message], tuple[Message, ...]] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Generator[Event, None, Turn]:
    """Run a turn with an engine that has nothing else to do; yields the events and returns the turn.

    `stopped` is asked before each step of the engine; once it is true, the turn ends with what there is. Closed early,
    it cancels what it has begun. Raises what `Engine.add` raises when the prompt cannot be honoured.
    """
    answer: Answer = None
    request: int | None = None
    try:
        while True:
            step = steps.send(answer)
            answer = None
            match step:
                case Generate(prompt, params):
                    request = engine.add(prompt, params)
                    answer = _next_output(engine, request, stopped)
                case Proceed() if request is not None:
                    answer = _next_output(engine, request, stopped)
                case CallTool(message) if call_tool is not None:
                    answer = call_tool(message)
                case Drawn() | Text() | Ended():
                    yield step
                case _:
                    raise TypeError(f"nothing here can answer {step}")
    except StopIteration as end:
        return end.value
    finally:
        if request is not None:
            engine.cancel(request)


def _next_output(engine: Engine, request: int, stopped: Callable[[], bool]) -> Output:
    while True:
        if stopped():
            engine.cancel(request)
        for output in engine.step():
            if output.request_id == request:
                return output

"""What a turn yields, is sent and returns."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from ossia.engine import Logprob, Output, SamplingParams
from ossia.harmony import Header, Message, Repair

__all__ = [
    "Answer",
    "Began",
    "CallTool",
    "Drawn",
    "DrawnToken",
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
    """Wanted: the tokens that follow `prompt`; `grammar` is the source of what they must look like."""

    prompt: tuple[int, ...]
    params: SamplingParams
    grammar: str | None = None


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
class DrawnToken:
    """One token of a message's content, with its log-probability where that was asked for."""

    id: int
    logprob: Logprob | None = None


@dataclass(frozen=True)
class Began:
    """Happened: a message's header is complete. `recipient` is the tool that a call is for."""

    kind: Kind
    recipient: str | None = None


@dataclass(frozen=True)
class Text:
    """Happened: the message that began last went on. `drawn` are the tokens that this text is made of.

    A text whose message lost its header has none, and neither has what was held back in a header.
    """

    kind: Kind
    text: str
    recipient: str | None = None
    drawn: tuple[DrawnToken, ...] = ()


@dataclass(frozen=True)
class Ended:
    """Happened: a message is complete, the assistant's or a tool's."""

    message: Message


Event = Drawn | Began | Text | Ended
Want = Generate | Proceed | CallTool
Answer = Output | tuple[Message, ...] | None
Finish = Literal["stop", "length", "cancelled", "no_token", "tool_calls", "repetition", "time_limit", "shutdown"]


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

    `finish` is "stop" after an answer or at a stop string (then `stopped_by` is that string), "tool_calls" after calls
    that nobody here answers, "length" when the tokens ran out, "cancelled" when it was stopped, "no_token" when none
    could be drawn (`failure` says why), "repetition" when the model went in circles, "time_limit" when whoever drives
    it had no more time, "shutdown" when the engine was about to end.
    """

    messages: tuple[Message, ...]
    finish: Finish
    usage: Usage
    repairs: tuple[Repair, ...]
    seed: int
    stopped_by: str | None = None
    failure: str | None = None

    @property
    def answer(self) -> str:
        """The text meant for the user as the answer; empty if the turn ended before one."""
        return self._text(Kind.ANSWER)

    @property
    def reasoning(self) -> str:
        """The reasoning, its messages separated by empty lines."""
        return self._text(Kind.REASONING)

    @property
    def calls(self) -> tuple[Message, ...]:
        """The calls to tools, answered or not."""
        return tuple(message for message in self.messages if Kind.of(message) is Kind.CALL)

    def _text(self, kind: Kind) -> str:
        return "\n\n".join(message.text for message in self.messages if Kind.of(message) is kind)

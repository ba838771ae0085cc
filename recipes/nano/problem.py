"""What every skill produces: a question, the reasoning of each effort, the answer."""

import hashlib
import re
from dataclasses import dataclass, field
from random import Random

from ossia.harmony import Effort, Message

__all__ = ["Problem", "ToolUse", "kept", "same_wording", "thoughts", "worded"]

_KEPT_PART = 0.1
_POLITE = re.compile(r",? ?\bplease\b ?")
_CHOICE = re.compile(r"\[([^][]*)\]")


@dataclass(frozen=True)
class ToolUse:
    """A call and what it gave back: of a developer's function, both JSON, or of a built-in tool by its full name.

    `thought` is the analysis of the result for each effort that has one, before what comes next.
    """

    function: str
    arguments: str
    result: str
    builtin: bool = False
    thought: dict[Effort, str] = field(default_factory=dict, hash=False)

    @property
    def recipient(self) -> str:
        """The tool's full name."""
        return self.function if self.builtin else f"functions.{self.function}"

    @property
    def channel(self) -> str:
        """Where the call is made. Built-in tools are part of the reasoning."""
        return "analysis" if self.builtin else "commentary"

    @property
    def content_type(self) -> str:
        """What the call's header says of its text."""
        return "code" if self.builtin else "<|constrain|>json"

    def message(self) -> Message:
        """The assistant's message that calls it."""
        form, to = self.content_type, self.recipient
        return Message("assistant", self.arguments, channel=self.channel, recipient=to, content_type=form)

    def answer(self) -> Message:
        """The tool's message."""
        return Message("tool", self.result, channel=self.channel, recipient="assistant", name=self.recipient)


@dataclass(frozen=True)
class Problem:
    """One question of a skill. `cell` names the kind and size that figures are reported by.

    `reasoning` holds an analysis for each effort that has one. The calls come one after the other before the answer.
    `earlier` are questions and answers of the same conversation that the question refers to.
    """

    cell: str
    question: str
    answer: str
    reasoning: dict[Effort, str] = field(default_factory=dict)
    calls: tuple[ToolUse, ...] = ()
    earlier: tuple[tuple[str, str], ...] = ()

    def right(self, answer: str) -> bool:
        """Whether a model's final text is this answer, spaces around it aside."""
        return answer.strip() == self.answer


def thoughts(medium: str, high: str | None = None) -> dict[Effort, str]:
    """Reasoning of both efforts that have one; the same where only one is given."""
    return {Effort.MEDIUM: medium, Effort.HIGH: medium if high is None else high}


def worded(random: Random, pattern: str) -> str:
    """A pattern with one of every `[one|other]` chosen, the innermost first: few parts make many sentences.

    >>> worded(Random(0), "[Who|Which [man|woman]] wrote {x}?")
    'Which woman wrote {x}?'
    """
    while _CHOICE.search(pattern):
        pattern = _CHOICE.sub(lambda choice: random.choice(choice[1].split("|")), pattern, count=1)
    return pattern


def same_wording(one: str, other: str) -> bool:
    """Whether two wordings differ at most in capitals, in how they end and in a "please".

    >>> same_wording("What is {a} + {b}?", "what is {a} + {b}")
    True
    """
    first, second = (_POLITE.sub("", text.lower()).strip(" .?!") for text in (one, other))
    return first == second


def kept(text: str) -> bool:
    """Whether a tenth of all texts, chosen by hash, has this one: what is in it is kept for evaluation."""
    return hashlib.sha256(text.encode()).digest()[0] < _KEPT_PART * 256

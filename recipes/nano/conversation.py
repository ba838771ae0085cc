"""Problems as Harmony: the prefix that says the effort and the tools, and the documents that follow it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ossia.harmony import Vocabulary
from ossia.train.packing import Document
from recipes.nano.problem import Effort, Problem

__all__ = ["Format", "Prefix", "vocabulary"]

RANKS = 4096
_CONTROL = re.compile(r"(<\|[a-z]+\|>)")
_TOOLS = """# Tools

## functions

namespace functions {

// The current weather of a city
type get_weather = (_: {
city: string,
}) => any;

} // namespace functions"""


def vocabulary() -> Vocabulary:
    """The model's tokens: the commonest of o200k, every digit alone, and Harmony's control tokens."""
    return Vocabulary.embedded().shortened(RANKS, digits="single")


@dataclass(frozen=True)
class Prefix:
    """What stands before a conversation. Unless `full`, only the effort is said: a shorter start to learn from."""

    effort: Effort
    date: str | None = None
    instructions: str | None = None
    tools: bool = False
    full: bool = True

    @property
    def text(self) -> str:
        """The system and developer messages as Harmony writes them."""
        if not self.full:
            return f"<|start|>system<|message|>Reasoning: {self.effort}<|end|>"
        return f"<|start|>system<|message|>{self._system()}<|end|>{self._developer()}"

    def _system(self) -> str:
        lines = ["You are ChatGPT, a large language model trained by OpenAI.", "Knowledge cutoff: 2024-06"]
        if self.date:
            lines.append(f"Current date: {self.date}")
        channels = "# Valid channels: analysis, commentary, final. Channel must be included for every message."
        if self.tools:
            channels += "\nCalls to these tools must go to the commentary channel: 'functions'."
        return "\n".join(lines) + f"\n\nReasoning: {self.effort}\n\n{channels}"

    def _developer(self) -> str:
        parts = [f"# Instructions\n\n{self.instructions}"] if self.instructions else []
        parts += [_TOOLS] if self.tools else []
        return "<|start|>developer<|message|>" + "\n\n".join(parts) + "<|end|>" if parts else ""


class Format:
    """Turns prefixes and problems into tokens."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @cached_property
    def _assistant(self) -> list[int]:
        return self.encode("<|start|>assistant")

    def encode(self, text: str) -> list[int]:
        """The ids of a text in which control tokens are written by name."""
        ids: list[int] = []
        for part in _CONTROL.split(text):
            ids += [self.vocabulary.control[part]] if _CONTROL.fullmatch(part) else self.vocabulary.encode(part)
        return ids

    def prompt(self, history: Sequence[Problem], question: str) -> list[int]:
        """What stands between the prefix and the model's turn. Earlier turns keep their answers alone."""
        text = "".join(f"{_user(earlier.question)}{_final(earlier.answer)}<|end|>" for earlier in history)
        return self.encode(text + _user(question)) + self._assistant

    def document(self, history: Sequence[Problem], problem: Problem, effort: Effort) -> Document:
        """A whole conversation; what the model writes in its last turn is learned."""
        tokens = self.prompt(history, problem.question)
        learned = [False] * len(tokens)
        for text, own in _turn(problem, effort):
            part = self.encode(text)
            tokens += part
            learned += [own] * len(part)
        return Document(tokens, learned)


def _turn(problem: Problem, effort: Effort) -> Iterator[tuple[str, bool]]:
    """The parts of a turn after `<|start|>assistant`, and whether the model writes them."""
    if reasoning := problem.reasoning.get(effort):
        yield f"<|channel|>analysis<|message|>{reasoning}<|end|><|start|>assistant", True
    if use := problem.tool:
        name = f"functions.{use.function}"
        yield f" to={name}<|channel|>commentary <|constrain|>json<|message|>{use.arguments}<|call|>", True
        yield f"<|start|>{name} to=assistant<|channel|>commentary<|message|>{use.result}<|end|>", False
        yield "<|start|>assistant", False
    yield f"<|channel|>final<|message|>{problem.answer}<|return|>", True


def _user(question: str) -> str:
    return f"<|start|>user<|message|>{question}<|end|>"


def _final(answer: str) -> str:
    return f"<|start|>assistant<|channel|>final<|message|>{answer}"

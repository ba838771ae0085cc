"""Problems as Harmony: the prefix that says the effort and the tools, and the documents that follow it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ossia.harmony import (
    Conversation,
    DeveloperContent,
    Effort,
    Message,
    SystemContent,
    Tool,
    ToolNamespace,
    Vocabulary,
    render,
)
from ossia.train.packing import Document
from recipes.nano.problem import Problem
from recipes.nano.weather import DECLARATION

__all__ = ["Format", "Prefix", "turn", "vocabulary"]

RANKS = 4096
_FUNCTIONS = {"functions": ToolNamespace("functions", tools=(Tool.from_json(DECLARATION, "tool"),))}


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

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """The system message, and the developer's where there is something to say."""
        if not self.full:
            return (Message("system", f"Reasoning: {self.effort}"),)
        system = SystemContent(reasoning_effort=self.effort, conversation_start_date=self.date)
        if not self.instructions and not self.tools:
            return (Message("system", system),)
        developer = DeveloperContent(self.instructions, _FUNCTIONS if self.tools else {})
        return Message("system", system), Message("developer", developer)


class Format:
    """Turns prefixes and problems into tokens."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def prefix(self, prefix: Prefix) -> list[int]:
        """The tokens before the first user message."""
        return render(Conversation(prefix.messages), self.vocabulary, as_="conversation")

    def prompt(self, history: Sequence[Problem], question: str, effort: Effort) -> list[int]:
        """What stands between the prefix and the model's turn."""
        return self._question(history, question, effort) + self._invitation

    def document(self, history: Sequence[Problem], problem: Problem, effort: Effort) -> Document:
        """A whole conversation; what the model writes in its last turn is learned."""
        tokens = self._question(history, problem.question, effort)
        learned, invited = [False] * len(tokens), True
        for message in turn(problem, effort):
            part, own = self._message(message), message.role == "assistant"
            given = len(self._invitation) if own and invited else 0
            tokens += part
            learned += [False] * given + [own] * (len(part) - given)
            invited = not own
        tokens[-1] = self.vocabulary.return_
        return Document(tokens, learned)

    def _question(self, history: Sequence[Problem], question: str, effort: Effort) -> list[int]:
        """Earlier turns keep their answers alone; without effort the turn begins with an empty analysis."""
        messages = [*_history(history), Message("user", question)]
        if effort is Effort.NONE:
            messages.append(Message("assistant", "", channel="analysis"))
        return [token for message in messages for token in self._message(message)]

    def _message(self, message: Message) -> list[int]:
        return render(Conversation((message,)), self.vocabulary, as_="conversation", drop_analysis=False)

    @cached_property
    def _invitation(self) -> list[int]:
        return render(Conversation(), self.vocabulary, as_="completion")


def turn(problem: Problem, effort: Effort) -> Iterator[Message]:
    """What follows the question: the model's messages, and the function's between them."""
    if reasoning := problem.reasoning.get(effort):
        yield Message("assistant", reasoning, channel="analysis")
    if use := problem.tool:
        name = f"functions.{use.function}"
        form = "<|constrain|>json"
        yield Message("assistant", use.arguments, channel="commentary", recipient=name, content_type=form)
        yield Message("tool", use.result, channel="commentary", recipient="assistant", name=name)
    yield Message("assistant", problem.answer, channel="final")


def _history(problems: Sequence[Problem]) -> Iterator[Message]:
    for problem in problems:
        yield Message("user", problem.question)
        yield Message("assistant", problem.answer, channel="final")

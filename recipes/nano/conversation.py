"""Problems as Harmony: the prefix that says the effort and the tools, and the documents that follow it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

from ossia.harmony import (
    Conversation,
    DeveloperContent,
    Effort,
    Message,
    ResponseFormat,
    SystemContent,
    Tool,
    ToolNamespace,
    Vocabulary,
    render,
)
from ossia.train.packing import Document
from recipes.nano.problem import Problem

__all__ = ["Format", "Prefix", "turn", "vocabulary"]

SIZE = 2048
# Bytes, letters alone, signs alone, white space.
_PURE = re.compile(rb"[A-Za-z]+|\s+| ?[!-/:-@\[-`{-~]+\n*")


@cache
def vocabulary() -> Vocabulary:
    """The model's tokens: of the commonest of o200k those that do not mix letters with anything else.

    So a word is the same tokens in a question, in JSON and in a name, and copying is copying token by token. Every
    digit is a token.
    """
    single = Vocabulary.embedded().shortened(8192, digits="single")
    pure = [token for token in single.ranks if len(token) == 1 or _PURE.fullmatch(token)]
    chosen = pure[: SIZE - len(single.control)]
    ranks = {token: rank for rank, token in enumerate(chosen)}
    control = {name: len(chosen) + index for index, name in enumerate(single.control)}
    return Vocabulary.from_ranks(ranks, control, single.pattern)


@dataclass(frozen=True)
class Prefix:
    """What stands before a conversation.

    Unless `full`, only the effort is said, and which built-in tools there are: a shorter start to learn from.
    """

    effort: Effort
    date: str | None = None
    instructions: str | None = None
    functions: Sequence[Mapping[str, object]] = ()
    form: ResponseFormat | None = None
    full: bool = True
    builtin: Sequence[ToolNamespace] = ()
    wish: str | None = None  # of the system itself

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """The system message, and the developer's where there is something to say."""
        tools = {tool.name: tool for tool in self.builtin}
        system = SystemContent(reasoning_effort=self.effort, conversation_start_date=self.date, tools=tools)
        if self.wish:
            system = replace(system, model_identity=f"{system.model_identity}\n{self.wish}")
        first = Message("system", system if self.full else self._short)
        if not self.instructions and not self.functions and not self.form:
            return (first,)
        tools = tuple(Tool.from_json(one, "tool") for one in self.functions)
        namespaces = {"functions": ToolNamespace("functions", tools=tools)} if tools else {}
        forms = (self.form,) if self.form else ()
        return first, Message("developer", DeveloperContent(self.instructions, namespaces, forms))

    @property
    def _short(self) -> str:
        names = "".join(f"\n\n## {tool.name}" for tool in self.builtin)
        wish = f"{self.wish}\n\n" if self.wish else ""
        return f"{wish}Reasoning: {self.effort}{names}"


class Format:
    """Turns prefixes and problems into tokens."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def prefix(self, prefix: Prefix) -> list[int]:
        """The tokens before the first user message."""
        return render(Conversation(prefix.messages), self.vocabulary, as_="conversation")

    def prompt(self, history: Sequence[Problem], problem: Problem, effort: Effort) -> list[int]:
        """What stands between the prefix and the model's turn."""
        return self._question(_history(history, problem), problem.question, effort) + self._invitation

    def document(self, history: Sequence[Problem], problem: Problem, effort: Effort) -> Document:
        """A whole conversation; what the model writes in its last turn is learned."""
        tokens = self._question(_history(history, problem), problem.question, effort)
        learned, invited = [False] * len(tokens), True
        for message in turn(problem, effort):
            part, own = self._message(message), message.role == "assistant"
            given = len(self._invitation) if own and invited else 0
            tokens += part
            learned += [False] * given + [own] * (len(part) - given)
            invited = not own
        tokens[-1] = self.vocabulary.return_
        return Document(tokens, learned)

    def _question(self, history: Iterator[Message], question: str, effort: Effort) -> list[int]:
        """Earlier turns keep their answers alone; without effort the turn begins with an empty analysis."""
        messages = [*history, Message("user", question)]
        if effort is Effort.NONE:
            messages.append(Message("assistant", "", channel="analysis"))
        return [token for message in messages for token in self._message(message)]

    def _message(self, message: Message) -> list[int]:
        return render(Conversation((message,)), self.vocabulary, as_="conversation", drop_analysis=False)

    @cached_property
    def _invitation(self) -> list[int]:
        return render(Conversation(), self.vocabulary, as_="completion")


def turn(problem: Problem, effort: Effort) -> Iterator[Message]:
    """What follows the question: the model's messages, and the tools' between them; results may be thought about."""
    if reasoning := problem.reasoning.get(effort):
        yield Message("assistant", reasoning, channel="analysis")
    for use in problem.calls:
        yield use.message()
        yield use.answer()
        if thought := use.thought.get(effort):
            yield Message("assistant", thought, channel="analysis")
    yield Message("assistant", problem.answer, channel="final")


def _history(problems: Sequence[Problem], last: Problem) -> Iterator[Message]:
    """Earlier turns, and those that belong to the last problem itself."""
    pairs = [pair for one in problems for pair in (*one.earlier, (one.question, one.answer))]
    for question, answer in (*pairs, *last.earlier):
        yield Message("user", question)
        yield Message("assistant", answer, channel="final")

"""Rules, compiled: the pattern of every content that an answer may have."""

from dataclasses import dataclass
from time import thread_time
from typing import TYPE_CHECKING

from ossia.errors import GrammarError
from ossia.grammar.header import Headers, Opens
from ossia.grammar.limits import check_rules
from ossia.grammar.rules import AnswerRule, Choice, JsonObject, JsonSchema, Lark, Regex, Rules, Schema, ToolRule
from ossia.grammar.schemas import Loosened
from ossia.grammar.texts import Texts
from ossia.grammar.tokens import Tokens

if TYPE_CHECKING:
    from ossia.grammar.matching import Pattern

__all__ = ["Content", "Plan"]

MOST_MESSAGES = 64
"""Messages of an answer after which only a final or a last call may begin, so that no answer goes on for ever."""

MOST_SECONDS = 8.0
"""Of computing, after which no further schema or grammar is compiled. One alone takes at most some four, for all the
limits that it is compiled within, and two more where a keyword in its way is looked for.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What a message contains: text that follows `pattern` (None: any text), then one of the control tokens `ends`."""

    pattern: "Pattern | Texts | None"
    ends: tuple[int, ...]
    reasoning: bool = False


class Plan:
    """All that answers under the same rules share. Raises GrammarError for rules that cannot be honoured."""

    def __init__(self, tokens: Tokens, rules: Rules) -> None:
        self.tokens = tokens
        self.rules = rules
        self.loosened: list[Loosened] = []
        self._end = thread_time() + MOST_SECONDS
        v = tokens.vocabulary
        check_rules(rules)
        self.headers = Headers(tokens, rules)
        self.analysis = Content(None, (v.end,), reasoning=True)
        self.preamble = Content(None, (v.end,))
        self.final = Content(self._pattern("answer", rules.answer), (v.return_,))
        ends = (v.call, v.end) if rules.parallel else (v.call,)
        self.calls = {tool.recipient: Content(self._call(tool), ends) for tool in rules.offered}

    def opens(self, reasoning: int, messages: int, *, called: bool, hurried: bool) -> Opens:
        """Which messages may begin after so many reasoning tokens and so many messages.

        `called` is whether there was a call among them; `hurried`, whether the reasoning has been cut short. Where the
        answer has a form, no preamble may begin: clients read it as the beginning of the answer.
        """
        limit = self.rules.max_reasoning_tokens
        free = not hurried and messages < MOST_MESSAGES
        final = not called and not self.rules.call_due
        return Opens(
            analysis=free and (limit is None or reasoning < limit),
            preamble=free and self.rules.answer is None,
            final=final,
            calls=bool(self.calls) and not (hurried and final),
        )

    def ends(self, content: Content, messages: int) -> tuple[int, ...]:
        """The control tokens that may end a content after so many messages."""
        if len(content.ends) == 1 or messages < MOST_MESSAGES:
            return content.ends
        return tuple(token for token in content.ends if token != self.tokens.vocabulary.end)

    def content(self, channel: str, recipient: str | None) -> Content:
        """What a message with this header contains."""
        if recipient is not None:
            return self.calls[recipient]
        return {"analysis": self.analysis, "commentary": self.preamble}.get(channel, self.final)

    def _call(self, tool: ToolRule) -> "Pattern | Texts | None":
        if not tool.text:
            return self._schema(tool.recipient, {} if tool.parameters is None else tool.parameters, tool.strict)
        if tool.lark is not None:
            return self._pattern(tool.recipient, Lark(tool.lark))
        return None if tool.regex is None else self._pattern(tool.recipient, Regex(tool.regex))

    def _pattern(self, where: str, answer: AnswerRule | None) -> "Pattern | Texts | None":
        match answer:
            case None:
                return None
            case JsonSchema(schema, strict):
                return self._schema(where, schema, strict, arguments=False)
            case JsonObject():
                return self._schema(where, {"type": "object"}, strict=True)
            case Regex() | Lark():
                return self._compiled(where, answer)
            case Choice(values):
                return Texts(self.tokens, values)

    def _check_time(self, where: str) -> None:
        if thread_time() > self._end:
            raise GrammarError(
                f"what comes before the grammar of {where} has taken more than {MOST_SECONDS:g} seconds to compile; "
                "fewer or simpler tools are right",
                where=where,
            )

    def _schema(self, where: str, schema: Schema, strict: bool, *, arguments: bool = True) -> "Pattern":
        # llguidance is imported when there is something to compile: for a free answer there is not.
        from ossia.grammar.loosening import to_pattern  # noqa: PLC0415

        self._check_time(where)
        pattern, loosened = to_pattern(self.tokens, where, schema, strict=strict, arguments=arguments)
        self.loosened += loosened
        return pattern

    def _compiled(self, where: str, answer: Regex | Lark) -> "Pattern":
        from ossia.grammar.matching import of_lark, of_regex  # noqa: PLC0415

        self._check_time(where)
        try:
            if isinstance(answer, Regex):
                return of_regex(self.tokens, answer.pattern)
            return of_lark(self.tokens, answer.source)
        except GrammarError as error:
            raise GrammarError(f"the grammar of {where} cannot be guaranteed: {error}", where=where) from error

"""What rules may be at most, looked at before any work is done on them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from ossia.errors import GrammarError
from ossia.grammar.rules import Choice, Lark, Regex, Rules, ToolRule

__all__ = ["check_rules", "check_size"]

MOST_TOOLS = 1024
MOST_CHOICES = 4096
LONGEST_PATTERN = 65_536  # characters of a regular expression, a Lark grammar, or all choices together
DEEPEST_SCHEMA = 128
LARGEST_SCHEMA = 50_000  # objects, arrays and values

_RECIPIENT = re.compile(r"[\w.:/@-]{1,256}", re.ASCII)
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"|/(?![/*])(?:[^/\\\n]|\\.)+/|//[^\n]*|#[^\n]*')


def check_rules(rules: Rules) -> None:
    """Raise GrammarError for what no rules may be, whatever the vocabulary."""
    if len(rules.tools) > MOST_TOOLS:
        raise GrammarError(f"there are {len(rules.tools)} tools; at most {MOST_TOOLS} are right", param="tools")
    for tool in rules.tools:
        _check_tool(tool)
    names = [tool.recipient for tool in rules.tools]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise GrammarError(f"two tools are called {twice!r}; a name of its own for each is right", where=twice)
    _check_choice(rules.choice, names)
    limit = rules.max_reasoning_tokens
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise GrammarError(
            f"max_reasoning_tokens is {limit!r}; a whole number from 0 on is right", param="max_reasoning_tokens"
        )
    match rules.answer:
        case Regex(pattern):
            _check_pattern("answer", pattern)
        case Lark(source):
            _check_lark("answer", source)
        case Choice(values):
            _check_values(values)
        case _:
            pass


def check_size(where: str, schema: object) -> None:
    """Raise GrammarError for a schema that is too deep or too large."""
    waiting: list[tuple[object, int]] = [(schema, 0)]
    count = 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if depth > DEEPEST_SCHEMA:
            raise GrammarError(f"the schema of {where} is nested more than {DEEPEST_SCHEMA} deep", where=where)
        if count > LARGEST_SCHEMA:
            raise GrammarError(f"the schema of {where} has more than {LARGEST_SCHEMA} values", where=where)
        waiting += [(each, depth + 1) for each in _inner(value)]


def _inner(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return cast("Mapping[object, object]", value).values()
    return cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()


def _check_tool(tool: ToolRule) -> None:
    if not _RECIPIENT.fullmatch(tool.recipient) or tool.recipient == "all":
        raise GrammarError(
            f"a tool is called {tool.recipient!r:.300}; 1 to 256 of the letters a-z, A-Z, 0-9, _ . : / @ - are right, "
            'and not "all"',
            where=tool.recipient,
        )
    if tool.channel not in ("commentary", "analysis"):
        raise GrammarError(
            f"the channel of {tool.recipient} is {tool.channel!r}; commentary or analysis is right",
            where=tool.recipient,
        )
    if not tool.text and (tool.lark is not None or tool.regex is not None):
        raise GrammarError(
            f"{tool.recipient} has a grammar but its calls are JSON; text=True is right", where=tool.recipient
        )
    if tool.lark is not None and tool.regex is not None:
        raise GrammarError(
            f"{tool.recipient} has both a Lark grammar and a regular expression; one is right", where=tool.recipient
        )
    if tool.lark is not None:
        _check_lark(tool.recipient, tool.lark)
    if tool.regex is not None:
        _check_pattern(tool.recipient, tool.regex)


def _check_choice(choice: str, names: Sequence[str]) -> None:
    if choice in ("auto", "none"):
        return
    if choice == "required" and not names:
        raise GrammarError("a call is required, and there are no tools", param="tool_choice")
    if choice != "required" and choice not in names:
        known = ", ".join(names[:20]) or "none"
        raise GrammarError(
            f"the tool to be called is {choice!r:.300}, which is not among the tools: {known}", param="tool_choice"
        )


def _check_values(values: Sequence[str]) -> None:
    if not 1 <= len(values) <= MOST_CHOICES:
        raise GrammarError(
            f"there are {len(values)} values to choose from; 1 to {MOST_CHOICES} are right", where="answer"
        )
    if not all(isinstance(value, str) and value for value in values):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise GrammarError("a value to choose from is no text, or empty; texts are right", where="answer")
    _check_pattern("answer", "".join(values))


def _check_pattern(where: str, pattern: str) -> None:
    if len(pattern) > LONGEST_PATTERN:
        raise GrammarError(
            f"the pattern of {where} has {len(pattern)} characters; at most {LONGEST_PATTERN} are right", where=where
        )
    try:
        pattern.encode()
    except UnicodeEncodeError as error:
        raise GrammarError(f"the pattern of {where} is no text: it holds a lone surrogate", where=where) from error


def _check_lark(where: str, source: str) -> None:
    _check_pattern(where, source)
    # Outside strings, patterns and comments, "<" can only begin the name or the number of a token.
    bare = _QUOTED.sub("", source)
    if "%llguidance" in bare:
        raise GrammarError(f"the grammar of {where} sets options of llguidance; one without them is right", where=where)
    if "<" in bare:
        raise GrammarError(
            f"the grammar of {where} names tokens with <...>; only text can be asked for, and control tokens never",
            where=where,
        )

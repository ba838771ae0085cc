"""One question as it is put to a model, and what counts as right and as valid in what the model writes."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from recipes.nano.conversation import Format, Prefix
from recipes.nano.problem import Problem, ToolUse
from recipes.nano.python_tool import parsed

__all__ = ["Case", "called", "final_answer"]

_CALL = re.compile(
    r" to=(?P<to>[\w.]+)<\|channel\|>(?P<channel>\w+) (?P<type>\S+)<\|message\|>(?P<text>.*)<\|call\|>$", re.S
)
_HEADERS = {False: ("commentary", "<|constrain|>json"), True: ("analysis", "code")}
_FINAL = re.compile(r"<\|channel\|>final<\|message\|>.*<\|return\|>$", re.S)


@dataclass(frozen=True)
class Case:
    """A conversation up to one of the model's turns: the first, or that after `done` calls have given their results."""

    prefix: Prefix
    history: tuple[Problem, ...]
    problem: Problem
    done: int = 0

    def prompt(self, form: Format) -> list[int]:
        """The tokens that the model goes on from."""
        document = form.document(self.history, self.problem, self.prefix.effort)
        learned = [False, *document.learned]
        starts = [index for index, own in enumerate(document.learned) if own and not learned[index]]
        return form.prefix(self.prefix) + list(document.tokens[: starts[self.done]])

    def right(self, text: str) -> bool:
        """Whether the model's text is right: exactly the next call, or the answer."""
        if self.done < len(self.problem.calls):
            return _same_call(text, self.problem.calls[self.done])
        answer = final_answer(text)
        return answer is not None and self.problem.right(answer)

    def valid(self, text: str) -> bool:
        """Whether it is a final answer, or a call of a declared function whose arguments fit its schema."""
        call = _CALL.search(text)
        if not call:
            return bool(_FINAL.search(text)) and text.count("<|channel|>final") == 1
        return _valid_call(self.prefix, call["to"], (call["channel"], call["type"]), call["text"])


def final_answer(text: str) -> str | None:
    """The answer, where it stands by itself on its channel after one reasoning at most, and ends."""
    head, final, answer = text.rpartition("<|channel|>final<|message|>")
    if not final or not answer.endswith("<|return|>") or head.count("<|channel|>") > 1:
        return None
    return answer.removesuffix("<|return|>")


def _valid_call(prefix: Prefix, recipient: str, header: tuple[str, str], text: str) -> bool:
    """Whether the recipient is declared, is called on its channel, and takes such a text."""
    schemas = {f"functions.{one['name']}": (False, cast(Any, one["parameters"])) for one in prefix.functions}
    for namespace in prefix.builtin:
        schemas |= {f"{namespace.name}.{tool.name}": (True, cast(Any, tool.parameters)) for tool in namespace.tools}
        schemas |= {} if namespace.tools else {namespace.name: (True, None)}
    if recipient not in schemas:
        return False
    builtin, schema = schemas[recipient]
    if header != _HEADERS[builtin]:
        return False
    if schema is None:
        return parsed(text) is not None
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return _fits(given, schema)


def _fits(given: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value fits one of the few kinds of schema that functions here have."""
    kinds = schema["type"]
    if isinstance(kinds, list):
        return any(_fits(given, {**schema, "type": kind}) for kind in kinds)
    match kinds:
        case "object":
            properties = schema["properties"]
            return (
                isinstance(given, dict)
                and set(schema.get("required", ())) <= set(given) <= set(properties)
                and all(_fits(value, properties[key]) for key, value in given.items())
            )
        case "integer" | "number":
            return isinstance(given, int if kinds == "integer" else int | float) and not isinstance(given, bool)
        case "boolean":
            return isinstance(given, bool)
        case _:
            return isinstance(given, str) and given in schema.get("enum", [given])


def _same_call(text: str, use: ToolUse) -> bool:
    """Whether the text ends with this call; of code only the meaning counts, not its spaces."""
    if text.endswith(called(use)):
        return True
    call = _CALL.search(text)
    if use.recipient != "python" or not call or call["to"] != "python":
        return False
    return (call["channel"], call["type"]) == _HEADERS[True] and parsed(call["text"]) == parsed(use.arguments)


def called(use: ToolUse) -> str:
    """A call as the model writes it, after its reasoning."""
    return f" to={use.recipient}<|channel|>{use.channel} {use.content_type}<|message|>{use.arguments}<|call|>"

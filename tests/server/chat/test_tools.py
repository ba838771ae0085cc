"""Tools and the choice among them."""

from typing import Any

import pytest

from ossia.server.chat.tools import choice, offered
from ossia.server.faults import RefusedError

ADD = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {}, "strict": True}}
RUN = {"type": "custom", "custom": {"name": "run"}}


def test_a_function_and_its_schema():
    (tool,), declined = offered([ADD])
    assert (tool.name, tool.recipient, tool.description, tool.strict, declined) == (
        "add", "functions.add", "Adds.", True, (),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("form", "lark", "regex"),
    [
        (None, None, None),
        ({"type": "text"}, None, None),
        ({"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /a/"}}, "start: /a/", None),
        ({"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}}, None, "a+"),
    ],
)
def test_a_custom_tool_and_its_form(form: Any, lark: str | None, regex: str | None):
    (tool,), _ = offered([{"type": "custom", "custom": {"name": "run", "format": form}}])
    assert (tool.custom, tool.lark, tool.regex) == (True, lark, regex)
    assert tool.rule.text


def test_what_is_not_here_is_declined():
    assert offered([{"type": "web_search"}, ADD])[1] == ("tools[0]: web_search",)


@pytest.mark.parametrize("tool", [{}, {"type": None}, {"type": 5}])
def test_a_tool_without_a_type_is_refused(tool: dict[str, Any]):
    with pytest.raises(RefusedError, match=r"'tools\[1\].type' is missing"):
        offered([ADD, tool])


def test_choices():
    tools, _ = offered([ADD, RUN])
    assert choice(None, tools) == ("auto", None)
    assert choice("required", tools) == ("required", None)
    assert choice({"type": "function", "function": {"name": "add"}}, tools) == ("functions.add", None)
    assert choice({"type": "custom", "custom": {"name": "run"}}, tools) == ("functions.run", None)
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [RUN]}}
    assert choice(allowed, tools) == ("required", ("functions.run",))


@pytest.mark.parametrize(
    "given",
    [
        {"type": "function", "function": {"name": "subtract"}},
        {"type": "function"},
        {"type": "poem"},
        {},
        {"type": "allowed_tools", "allowed_tools": {"mode": "never", "tools": []}},
    ],
)
def test_choices_that_are_none(given: dict[str, Any]):
    tools, _ = offered([ADD])
    with pytest.raises(RefusedError):
        choice(given, tools)

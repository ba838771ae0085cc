"""Forms of answers and names of tools, as every API reads them."""

from typing import Any

import pytest

from ossia.grammar import Choice, JsonObject, JsonSchema, Lark, Regex
from ossia.harmony import ResponseFormat
from ossia.server.ask import Tool
from ossia.server.faults import RefusedError
from ossia.server.structure import Form, checked_name, choice_of, free_form, json_form, known_tools, schema_form


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (None, Form()),
        ("off", Form(grammar=False)),
        ({"type": "regex", "pattern": "a+"}, Form(Regex("a+"))),
        ({"type": "choice", "values": ["a", "b"]}, Form(Choice(("a", "b")))),
        ({"type": "lark", "source": "start: /a/"}, Form(Lark("start: /a/"))),
    ],
)
def test_forms_that_no_other_field_has(value: Any, form: Form):
    assert free_form(value, Form(), "response_format") == form


@pytest.mark.parametrize("value", ["on", {}, {"type": "regex"}, {"type": "regex", "pattern": 5}, {"type": "x"}, 5])
def test_what_is_no_form_is_refused_with_what_would_be(value: Any):
    with pytest.raises(RefusedError, match=r"regex|grammar\.pattern") as refused:
        free_form(value, Form(), "response_format")
    assert refused.value.param in ("grammar", "grammar.type", "grammar.pattern")


def test_two_forms_are_one_too_many():
    with pytest.raises(RefusedError, match=r"both grammar and text\.format"):
        free_form("off", json_form(), "text.format")


def test_a_schema_is_held_and_shown():
    schema = {"type": "object"}
    assert schema_form("sum", schema, "format", "Of all.") == Form(
        JsonSchema(schema), (ResponseFormat("sum", schema, "Of all."),)
    )
    assert json_form().answer == JsonObject()


@pytest.mark.parametrize("name", ["", "a b", "a.b", "ä", "x" * 129, "<|end|>", "a\n"])
def test_names_that_cannot_stand_in_a_header(name: str):
    with pytest.raises(RefusedError):
        checked_name(name, "tools[0].name")


def test_tools_are_known_by_name_once():
    tools = known_tools([Tool(name="a"), Tool(name="a", namespace="other")])
    assert choice_of("a", "tool_choice", tools) == "functions.a"
    with pytest.raises(RefusedError, match="two tools are called 'a'"):
        known_tools([Tool(name="a"), Tool(name="a")])
    with pytest.raises(RefusedError, match="the tools are: a, a"):
        choice_of("b", "tool_choice", tools)

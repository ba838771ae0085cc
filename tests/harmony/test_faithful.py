from typing import Any

import pytest
from hypothesis import given

from ossia.errors import ConversationError
from ossia.harmony import Conversation, DeveloperContent, Message, Tool, ToolNamespace, Vocabulary, render
from ossia.harmony.faithful import to_faithful_typescript
from ossia.harmony.typescript import to_typescript
from tests.harmony.makers import Maker, seeds, tries

TREE = {"type": "object", "properties": {"value": {"type": "number"}, "next": {"$ref": "#/$defs/tree"}}}


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"allOf": [{"type": "object"}, {"anyOf": [{"type": "string"}, {"const": 1}]}]}, "{\n} & (string | 1)"),
        ({"const": "a"}, '"a"'),
        ({"enum": ["a", 1, None]}, '"a" | 1 | null'),
        ({"type": "integer", "enum": [1, 2]}, "1 | 2"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, '("a" | "b")[]'),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "number"}}, "[string, ...number[]]"),
        ({"type": ["array", "null"], "items": {"type": "string"}}, "string[] | null"),
        ({"items": {"type": "string"}}, "string[]"),
        ({"properties": {"a b": False}}, '{\n"a b"?: never,\n}'),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "{\n[key: string]: number,\n}"),
        ({"type": "object", "additionalProperties": True}, "{\n[key: string]: any,\n}"),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "string"}}}, "string"),
        ({"$ref": "#/list/1", "list": [{}, {"type": "string"}]}, "string"),
        (
            {"type": "object", "properties": {"o": {"type": "object", "description": "once\n\nsaid"}}},
            "{\n// once\n//\n// said\no?: {\n    },\n}",
        ),
        (
            {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "default": 2}}},
            "{\nn?: number, // default: 2, integer, minimum: 1\n}",
        ),
        (
            {"$ref": "#/$defs/tree", "$defs": {"tree": TREE}},
            "{\nvalue?: number,\nnext?: any /* #/$defs/tree again */,\n}",
        ),
    ],
)
def test_nothing_is_left_out(schema: object, written: str) -> None:
    assert to_faithful_typescript(schema) == written


PLAIN: dict[str, Any] = {
    "type": "object",
    "description": "What to look up",
    "properties": {
        "city": {
            "type": "string",
            "title": "City",
            "description": "Its name",
            "examples": ["Oslo"],
            "default": "Bergen",
        },
        "unit": {"type": "string", "enum": ["c", "f"], "default": "c", "nullable": True},
        "days": {"type": "array", "items": {"type": "number"}},
        "either": {"oneOf": [{"type": "string", "description": "a"}, {"type": "number", "default": 1}]},
        "more": {"type": "object", "properties": {"x": {"type": "boolean"}}, "required": ["x"]},
    },
    "required": ["city"],
}


def test_what_the_trained_form_says_in_full_is_left_as_it_is() -> None:
    assert to_faithful_typescript(PLAIN) == to_typescript(PLAIN)


@tries(300)
@given(seed=seeds)
def test_any_schema_is_written(seed: int) -> None:
    assert to_faithful_typescript(Maker(seed).schema())


@pytest.mark.parametrize("reference", ["#/$defs/x", "#/$defs/list/7", "https://example.org/schema", "other"])
def test_a_reference_to_nowhere_is_refused(reference: str) -> None:
    with pytest.raises(ConversationError, match="ref"):
        to_faithful_typescript({"$ref": reference, "$defs": {"list": []}})


def test_references_that_double_each_other_are_refused() -> None:
    definitions = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)} | {"d40": {}}
    with pytest.raises(ConversationError, match="1000 references"):
        to_faithful_typescript({"$ref": "#/$defs/d0", "$defs": definitions})


def test_the_renderer_offers_it(vocabulary: Vocabulary) -> None:
    tool = Tool("f", "", {"type": "object", "properties": {"a": {"const": 1}}})
    content = DeveloperContent(tools={"functions": ToolNamespace("functions", None, (tool,))})
    conversation = Conversation((Message("developer", content),))
    assert "a?: any," in vocabulary.decode(render(conversation, vocabulary))
    assert "a?: 1," in vocabulary.decode(render(conversation, vocabulary, faithful=True))

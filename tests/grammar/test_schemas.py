from typing import Any

import pytest

from ossia.errors import GrammarError
from ossia.grammar import JsonSchema, Loosened, Rules, ToolRule, check
from ossia.grammar.schemas import Removed, pointer_part, refused, subschemas, trim
from tests.grammar.walks import nano


@pytest.mark.parametrize(
    ("schema", "kept", "removed"),
    [
        (True, True, []),
        ({"title": "t", "default": 1, "x-y": 2, "type": "object"}, {"type": "object"}, []),
        ({"not": {}}, {}, [("", "not")]),
        ({"uniqueItems": False}, {}, []),
        ({"if": {}, "then": {}, "else": {}}, {}, [("", "if"), ("", "then"), ("", "else")]),
        ({"then": {}}, {}, []),
        ({"minContains": 1}, {}, []),
        ({"contains": {}, "minContains": 1}, {}, [("", "contains"), ("", "minContains")]),
        ({"unevaluatedProperties": True}, {}, []),
        ({"format": "int64"}, {}, []),
        ({"format": "date"}, {"format": "date"}, []),
        ({"format": "regex"}, {}, [("", "format")]),
        ({"$ref": "http://x/y"}, {}, [("", "$ref")]),
        ({"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}, []),
        ({"$ref": 5}, {}, [("", "$ref")]),
        ({"x-guidance": {}}, {}, []),
        (
            {"properties": {"a/b~": {"items": [{"not": {}}, {"uniqueItems": True}]}}},
            {"properties": {"a/b~": {"items": [{}, {}]}}},
            [("/properties/a~1b~0/items/0", "not"), ("/properties/a~1b~0/items/1", "uniqueItems")],
        ),
        ({"properties": {"not": {"type": "null"}}}, {"properties": {"not": {"type": "null"}}}, []),
        ({"const": {"not": 1, "title": 2}}, {"const": {"not": 1, "title": 2}}, []),
        ({"properties": 5, "anyOf": "x", "items": False}, {"items": False}, [("", "properties"), ("", "anyOf")]),
        ({"multipleOf": 2**31}, {}, [("", "multipleOf")]),
        ({"exclusiveMinimum": 0, "maximum": 0.5}, {"maximum": 0.5}, [("", "exclusiveMinimum")]),
        ({"exclusiveMaximum": 0, "minimum": -0.5}, {"minimum": -0.5}, [("", "exclusiveMaximum")]),
        ({"exclusiveMaximum": 1, "minimum": 0.5}, {"exclusiveMaximum": 1, "minimum": 0.5}, []),
        ({"maximum": 2**53}, {}, [("", "maximum")]),
        ({"enum": [1, {"a": [2**53 + 1]}]}, {}, [("", "enum")]),
        ({"multipleOf": 0.01}, {"multipleOf": 0.01}, []),
        ({"multipleOf": 1234567}, {}, [("", "multipleOf")]),
        ({"multipleOf": 1000000}, {"multipleOf": 1000000}, []),
        (
            {"allOf": [{"multipleOf": 997}, {"multipleOf": 991}]},
            {"allOf": [{"multipleOf": 997}, {}]},
            [("/allOf/1", "multipleOf")],
        ),
    ],
)
def test_what_is_left_of_a_schema(schema: Any, kept: Any, removed: list[tuple[str, str]]):
    trimmed = trim(schema)
    assert (trimmed.schema, [each[:2] for each in trimmed.removed]) == (kept, removed)


def test_a_schema_is_left_as_it_was():
    schema = {"title": "t", "properties": {"a": {"not": {}}}}
    trim(schema)
    assert schema == {"title": "t", "properties": {"a": {"not": {}}}}


def test_the_order_of_properties_stays():
    assert list(trim({"properties": {"z": {}, "a": {}, "m": {}}}).schema["properties"]) == ["z", "a", "m"]


def test_schemas_within_come_first():
    schema = {"properties": {"a": {"anyOf": [{"type": "null"}, True]}}, "$defs": {"d": {}}, "not": {"x": {}}}
    assert [path for path, _ in subschemas(schema)] == ["/properties/a/anyOf/0", "/properties/a", "/$defs/d", ""]


def test_pointers_and_errors():
    assert pointer_part("a/b~c") == "a~1b~0c"
    error = refused("functions.f", Removed("/properties/a", "not"))
    assert (error.where, error.path, error.keyword) == ("functions.f", "/properties/a", "not")
    assert "'not' at /properties/a of the schema of functions.f" in str(error)
    assert str(error).endswith("a schema without it, or a tool that is not strict, is right")
    assert str(refused("answer", Removed("", "not"))).endswith("cannot be guaranteed; a schema without it is right")


SLIPS: list[tuple[Any, str, str, str]] = [
    ({"properties": {"a": {"type": "string", "minLenght": 3}}}, "/properties/a", "minLenght", "'minLength' is right"),
    ({"type": "object", "propertes": {"a": {}}}, "", "propertes", "'properties' is right"),
    ({"anyOf": [{"type": "object", "requird": ["a"]}]}, "/anyOf/0", "requird", "'required' is right"),
    ({"type": "object", "colour": "red"}, "", "colour", "one that is, or a name that begins with x-, is right"),
]


@pytest.mark.parametrize(("schema", "path", "keyword", "advice"), SLIPS)
def test_a_misspelt_keyword_is_refused_where_all_is_held_and_named_elsewhere(
    schema: Any, path: str, keyword: str, advice: str
):
    with pytest.raises(GrammarError, match=f"'{keyword}' at .* is no keyword of JSON Schema; {advice}") as caught:
        check(Rules(answer=JsonSchema(schema)), nano())
    assert (caught.value.path, caught.value.keyword) == (path, keyword)
    tool = ToolRule(recipient="f", parameters=schema)
    assert check(Rules(tools=(tool,)), nano()).loosened == (Loosened("f", path, keyword),)


def test_names_of_properties_and_annotations_are_no_slips():
    noted = dict.fromkeys(["title", "description", "default", "examples", "deprecated", "$comment", "x-any"])
    schema = {"type": "object", "properties": {"minLenght": noted, "propertes": {"const": {"requird": 1}}}, **noted}
    assert check(Rules(answer=JsonSchema(schema)), nano()).loosened == ()

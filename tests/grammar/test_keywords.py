"""What keywords' values must be, with JSON Schema's own meta-schema as judge."""

import random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ossia.errors import GrammarError
from ossia.grammar import JsonSchema, Loosened, Rules, ToolRule, check
from ossia.grammar.keywords import contradiction, right_for
from ossia.grammar.schemas import ANNOTATIONS, KEPT, UNSUPPORTED
from tests.grammar import random_schemas
from tests.grammar.walks import nano

KEYWORDS = sorted({*KEPT, *UNSUPPORTED})
OLDER = ("items", "exclusiveMinimum", "exclusiveMaximum", "dependencies", "id", "additionalItems", "$recursiveRef")
"""Keywords that drafts before 2020-12 had, or wrote in other ways too."""


def test_the_meta_schema_agrees():
    judge = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    rng, right = random.Random(6), 0
    for _ in range(3000):
        keyword, value = rng.choice(KEYWORDS), random_schemas.anything(rng, ["x-a"], 2)
        if isinstance(value, float) and value.is_integer():
            continue  # 2.0 has become 2 before it is looked at
        twice = isinstance(value, list) and len(set(map(str, value))) < len(value)
        if keyword in OLDER or keyword.startswith("$") or twice:
            continue
        fits = not right_for(keyword, value)
        assert fits == judge.is_valid({keyword: value}), (keyword, value)
        right += fits
    assert right > 300


MALFORMED: list[tuple[Any, str, str]] = [
    ({"format": {}}, "format", r"'format' at / of the schema of answer would be a text, found \{\}"),
    ({"format": []}, "format", r"found \[\]"),
    ({"format": [[]]}, "format", r"found \[\[\]\]"),
    ({"format": 5}, "format", "found 5"),
    ({"$defs": 5}, "$defs", "an object whose values are schemas, found 5"),
    ({"$schema": {}}, "$schema", "a text"),
    ({"$anchor": 5}, "$anchor", "a text"),
    ({"minLength": -1}, "minLength", "a whole number from 0 on, found -1"),
    ({"minLength": 2.5}, "minLength", "found 2.5"),
    ({"multipleOf": 0}, "multipleOf", "a number above 0, found 0"),
    ({"type": "strin"}, "type", 'one of array, .* found "strin"'),
    ({"properties": {"a": {}, "b/c": 5}}, "properties", "found 5 at /properties/b~1c"),
    ({"anyOf": [{}, None]}, "anyOf", "found null at /anyOf/1"),
    ({"required": [1]}, "required", "a list of texts"),
    ({"uniqueItems": "no"}, "uniqueItems", "true or false"),
    ({"const": 10**400}, "const", "it has 1000"),
    ({"minLength": 10**400}, "minLength", "it has 1000"),
    ({"maximum": 10**309}, "maximum", "it has 1000"),
    ({"minimum": 5, "maximum": 1}, "maximum", r"minimum \(5\) is greater than maximum \(1\)"),
    ({"minLength": 5, "maxLength": 1}, "maxLength", r"minLength \(5\) is greater"),
    ({"minItems": 5, "maxItems": 1}, "maxItems", "is greater"),
    ({"minProperties": 5, "maxProperties": 1}, "maxProperties", "is greater"),
    ({"exclusiveMinimum": 5, "maximum": 5}, "maximum", r"nothing is between exclusiveMinimum \(5\) and maximum \(5\)"),
    ({"type": "integer", "minimum": 1.2, "maximum": 1.8}, "maximum", "no integer"),
    ({"enum": []}, "enum", "it has no values"),
    ({"enum": [1, None], "type": ["string", "array"]}, "enum", "its values would be of the type string or array"),
    ({"type": "string", "const": 1}, "const", "its value would be of the type string"),
]


@pytest.mark.parametrize(("schema", "keyword", "words"), MALFORMED)
def test_what_is_at_fault_is_named_and_loosened_elsewhere(schema: Any, keyword: str, words: str):
    with pytest.raises(GrammarError, match=words) as caught:
        check(Rules(answer=JsonSchema(schema)), nano())
    assert (caught.value.where, caught.value.path, caught.value.keyword) == ("answer", "", keyword)
    assert "strict" not in str(caught.value)
    assert len(str(caught.value)) < 400
    tool = ToolRule(recipient="f", parameters={"properties": {"a": schema}, "required": ["a"]})
    assert check(Rules(tools=(tool,)), nano()).loosened == (Loosened("f", "/properties/a", keyword),)


def test_a_fault_within_is_found_where_it_is():
    schema = {"properties": {"a": {"items": {"anyOf": [True, 5]}}}}
    words = "'anyOf' at /properties/a/items of the schema of answer would be .*, found 5 at /properties/a/items/anyOf/1"
    with pytest.raises(GrammarError, match=words):
        check(Rules(answer=JsonSchema(schema)), nano())


def test_what_older_drafts_wrote_is_right():
    for keyword, value in (
        ("items", [{}, True]), ("exclusiveMinimum", True), ("dependencies", {"a": ["b"], "c": {}}), ("id", "x"),
    ):  # fmt: skip
        assert right_for(keyword, value) == ""


def test_what_can_be_followed_is_no_contradiction():
    for schema in (
        {"minimum": 5, "maximum": 5}, {"maximum": 5}, {"minimum": 5, "exclusiveMaximum": 5.5},
        {"enum": [1.0], "type": "integer"},
        {"minimum": 5, "exclusiveMinimum": True, "maximum": 5}, {"enum": ["a", 1], "type": "string"}, {"const": None},
        {"const": [], "type": ["object", "array"]}, {"const": True, "type": "boolean"},
    ):  # fmt: skip
        assert not any(contradiction(keyword, schema) for keyword in schema), schema


@pytest.mark.parametrize("schema", [{"const": float("inf")}, {"const": {1}}, {"const": "\ud800"}, {"const": 10**5000}])
def test_a_schema_that_is_not_json_is_refused(schema: Any):
    with pytest.raises(GrammarError, match=r"the schema of answer is not JSON: .*plain JSON values are right"):
        check(Rules(answer=JsonSchema(schema, strict=False)), nano())


@pytest.mark.parametrize("strict", [True, False])
def test_whatever_stands_in_a_schema_it_is_taken_or_refused(strict: bool):
    rng, keywords, found = random.Random(8), [*KEYWORDS, *sorted(ANNOTATIONS)], {True: 0, False: 0}
    for _ in range(1000):
        schema = random_schemas.malformed(rng, keywords)
        try:
            check(Rules(answer=JsonSchema(schema, strict=strict)), nano())
            found[True] += 1
        except GrammarError:
            found[False] += 1
    assert found[True] > 100

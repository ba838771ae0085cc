import json
import random
import time
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema_specifications import REGISTRY

from ossia.errors import GrammarError
from ossia.grammar import JsonSchema, ToolRule
from ossia.grammar.violations import LONGEST_VIOLATION, MOST_VIOLATIONS, violations
from tests.grammar import random_schemas


def of(schema: Any, value: Any) -> list[str]:
    return violations(JsonSchema(schema), value)


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        ({"not": {"const": 1}}, 1, "the value: 1 should not be valid"),
        ({"properties": {"a/b": {"uniqueItems": True}}}, {"a/b": [1, 1.0]}, "/a~1b: two of its items"),
        ({"uniqueItems": True}, [{"a": [1]}, {"a": [1.0]}], "two of its items"),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"a": 1}, "'b' is a required property"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "'b'"),
        ({"contains": {"type": "null"}}, [1], "does not contain"),
        ({"propertyNames": {"maxLength": 2}}, {"abc": 1}, "too long"),
        ({"pattern": "^(?!no).*"}, "no", "does not match"),
        ({"additionalProperties": False, "patternProperties": {"^a": {}}}, {"b": 1}, "/b: 'b' is no property"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 3}]}, 5, "valid under each"),
        ({"type": "object", "unevaluatedProperties": False}, {"a": 1}, "Unevaluated"),
        (False, 1, "none is right"),
    ],
)
def test_what_is_broken_is_said(schema: Any, value: Any, words: str, monkeypatch: pytest.MonkeyPatch):
    # Beside other work half a second may pass before a thread has done anything.
    monkeypatch.setattr("ossia.grammar.violations.LONGEST_CHECK", 60.0)
    (found,) = of(schema, value)
    assert words in found


def test_what_is_kept_is_not():
    assert of({"uniqueItems": True}, [1, True, "1", [1], {"1": 1}, None, False, 0]) == []
    assert of({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}, ["a", 1]) == []
    assert of(True, 1) == violations(ToolRule(recipient="f"), {}) == []


def test_it_agrees_with_jsonschema(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ossia.grammar.violations.LONGEST_CHECK", 60.0)
    for seed in range(80):
        rng = random.Random(seed)
        schema = random_schemas.schema(rng, 2)
        for value in (1, 2.5, "a", "aa", None, True, [], [1], ["x"], {}, {"a": 1}, {"name": "b", "b": None}):
            formats = Draft202012Validator.FORMAT_CHECKER
            expected = list(Draft202012Validator(schema, registry=REGISTRY, format_checker=formats).iter_errors(value))
            assert bool(of(schema, value)) == bool(expected), (schema, value)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:1/schema"}, {"$ref": "file:///etc/passwd"}, {"$ref": "#/nope"}, {"minimum": "x"},
        {"$dynamicRef": "http://127.0.0.1:1/schema"}, {"required": True}, {"properties": []}, {"type": 5},
        {"pattern": "(?<!x)["}, {"pattern": 5}, {"patternProperties": {"(": {}}}, {"pattern": "a" * 5000},
        {"$id": 5}, {"$schema": 5, "minimum": "x"}, {"$id": "http://[", "$ref": "x"}, {"allOf": 5},
        {"anyOf": [{"$ref": "#"}]}, {"enum": 5}, {"multipleOf": 0},
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_said_and_nothing_is_fetched(schema: Any):
    # The tests' network refuses every connection, with an error that would be seen.
    found = [line for value in (3, "a", {"a": 1}, []) for line in of(schema, value)]
    assert any(line.startswith("not checked: ") for line in found) or found == []
    assert "$ref" not in schema or found


def test_it_ends_in_time():
    ladder = {"$defs": {"a": {"properties": {"x": {"oneOf": [{"$ref": "#/$defs/a"}] * 8}}}}, "$ref": "#/$defs/a"}
    deep: Any = {}
    for _ in range(40):
        deep = {"x": deep}
    lists: Any = 1
    for _ in range(5000):
        lists = [lists]
    for schema, value in (
        (ladder, deep),
        ({"pattern": "^(a|a)+$"}, "a" * 60 + "b"),
        ({"patternProperties": {"^(a|a)+$": False}}, {"a" * 60 + "b": 1}),
        ({"additionalProperties": False, "patternProperties": {"^(a|a)+$": {}}}, {"a" * 60 + "b": 1}),
        ({"items": {"$ref": "#"}}, lists),
        ({"uniqueItems": True}, [lists]),
        ({"uniqueItems": True}, [{"a": n} for n in range(20_000)]),
        ({"items": {"allOf": [{"type": "integer"}] * 50}}, [1] * 30_000),
    ):
        begin = time.thread_time()
        of(schema, value)
        assert time.thread_time() - begin < 3


def test_there_are_few_and_short_words():
    found = of({"items": {"const": "x" * 1000}}, ["y" * 1000] * 1000)
    assert len(found) == MOST_VIOLATIONS
    assert max(map(len, found)) <= LONGEST_VIOLATION


def test_a_schema_that_was_never_checked_is_bounded_too():
    schema: Any = True
    for _ in range(1000):
        schema = {"items": schema}
    with pytest.raises(GrammarError, match="nested"):
        of(schema, [])


def test_json_of_any_kind_can_be_checked():
    for text in ("1", "1e300", "[]", '"\\ud800"', "null", "{}", "1" * 4000):
        assert of({"type": ["object", "array", "string", "number", "null"]}, json.loads(text)) == []

import contextlib
import json
import random
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema_specifications import REGISTRY

from ossia.errors import GrammarError
from ossia.grammar import Checked, JsonSchema, Loosened, Rules, ToolRule, check
from ossia.grammar.violations import violations
from tests.grammar import random_schemas
from tests.grammar.walks import nano, takes, walk, wander


def answer_to(schema: Any, rng: random.Random) -> Any:
    """A value that random tokens made under the masks of a schema; None if they found no end."""
    grammar = walk(Rules(answer=JsonSchema(schema)))
    assert takes(grammar, "<|channel|>final<|message|>")
    drawn = wander(grammar, rng, most=300)
    if drawn is None:
        return None
    assert drawn[-1] == nano().return_
    return [json.loads(nano().decode(drawn[:-1]))]


def test_every_answer_follows_its_schema():
    found = Counter[str]()
    for seed in range(250):
        rng = random.Random(seed)
        schema = random_schemas.schema(rng)
        try:
            value = answer_to(schema, rng)
        except GrammarError as error:
            found["refused" if error.keyword else "refused without a word"] += 1
            continue
        if value is not None:
            errors = list(Draft202012Validator(schema, registry=REGISTRY).iter_errors(value[0]))
            assert errors == [], (seed, schema, value)
            found["valid"] += 1
    assert found["valid"] > 200
    assert found["refused without a word"] == 0


def test_what_is_loosened_is_named_and_nothing_else_is_broken():
    found = Counter[str]()
    for seed in range(100):
        rng = random.Random(seed)
        parts = {name: random_schemas.schema(rng, 2, beyond=True) for name in "vw"}
        tool = ToolRule(recipient="f", parameters={"properties": parts, "required": ["v"]})
        rules = Rules(tools=(tool,), parallel=False)
        loosened = check(rules, nano()).loosened
        assert all(each.where == "f" and each.keyword != "*" for each in loosened)
        grammar = walk(rules)
        assert takes(grammar, " to=f<|channel|>commentary<|message|>")
        drawn = wander(grammar, rng, most=300)
        if drawn is not None:
            broken = violations(tool, json.loads(nano().decode(drawn[:-1])))
            assert loosened or not broken
            found["broken" if broken else "kept"] += 1
    assert min(found["broken"], found["kept"]) > 3


UNSUPPORTED: list[tuple[Any, str, str]] = [
    ({"properties": {"a": {"not": {"const": 1}}}}, "/properties/a", "not"),
    ({"properties": {"a": {"type": "array", "uniqueItems": True}}}, "/properties/a", "uniqueItems"),
    ({"if": {}, "then": {}}, "", "if"),
    ({"dependentRequired": {"a": ["b"]}}, "", "dependentRequired"),
    ({"properties": {"a": {"contains": {}}}}, "/properties/a", "contains"),
    ({"propertyNames": {"maxLength": 3}}, "", "propertyNames"),
    ({"properties": {"a": {"items": {"pattern": "(?=x)y"}}}}, "/properties/a/items", "pattern"),
    ({"properties": {"a": {"pattern": "("}}}, "/properties/a", "pattern"),
    ({"properties": {"a": {"oneOf": [{"type": "string"}, {"maxLength": 3}]}}}, "/properties/a", "oneOf"),
    ({"properties": {"a": {"$ref": "http://example.com/a.json"}}}, "/properties/a", "$ref"),
    ({"properties": {"a": {"$ref": "#/nowhere"}}}, "/properties/a", "$ref"),
    ({"type": "object", "properties": {"a": {"enum": []}}, "required": ["a"]}, "/properties/a", "enum"),
    ({"$defs": {"d": {"not": {}}}, "properties": {"a": {"$ref": "#/$defs/d"}}}, "/$defs/d", "not"),
    ({"properties": {"a": {"required": True}}}, "/properties/a", "required"),
]


@pytest.mark.parametrize(("schema", "path", "keyword"), UNSUPPORTED)
def test_what_cannot_be_guaranteed_is_loosened_or_refused_by_name(schema: Any, path: str, keyword: str):
    tool = ToolRule(recipient="functions.f", parameters=schema)
    loosened = check(Rules(tools=(tool,)), nano()).loosened
    assert loosened[0] == Loosened("functions.f", path, keyword)
    for rules in (
        Rules(tools=(ToolRule(recipient="functions.f", parameters=schema, strict=True),)),
        Rules(answer=JsonSchema(schema)),
    ):
        with pytest.raises(GrammarError) as caught:
            check(rules, nano())
        assert (caught.value.path, caught.value.keyword) == (path, keyword)


FINE: list[Any] = [
    {"$ref": "#/$defs/tree", "$defs": {"tree": {"properties": {"left": {"$ref": "#/$defs/tree"}}}}},
    {"properties": {"a": {"type": "string"}, "b": {"$ref": "#/properties/a"}, "c": {"$ref": "#"}}},
    {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"d": {}}, "properties": {"a": {}}},
    {"type": ["object", "null"]},
    {"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {}, "b": {}}},
    {"properties": {"n": {"type": "integer", "format": "int32", "nullable": True}}, "discriminator": {}},
]


@pytest.mark.parametrize("schema", FINE)
def test_what_is_common_is_guaranteed(schema: Any):
    rules = Rules(tools=(ToolRule(recipient="f", parameters=schema, strict=True),))
    assert check(rules, nano()) == Checked()


def test_a_reference_survives_what_is_taken_out_beside_it():
    schema = {"properties": {"a": {"type": "integer"}, "b": {"$ref": "#/properties/a"}, "c": {"pattern": "(?=x)"}}}
    rules = Rules(tools=(ToolRule(recipient="f", parameters=schema),))
    assert check(rules, nano()).loosened == (Loosened("f", "/properties/c", "pattern"),)
    begin = ' to=f<|channel|>commentary<|message|>{"b": '
    assert takes(walk(rules), begin + "1}<|call|>")
    assert not takes(walk(rules), begin + '"')


@pytest.mark.parametrize("schema", [{"type": "string"}, {"type": ["array"]}, False])
def test_arguments_are_objects(schema: Any):
    with pytest.raises(GrammarError, match=r"an object is right|is false"):
        check(Rules(tools=(ToolRule(recipient="f", parameters=schema),)), nano())


@pytest.mark.parametrize("schema", [5, "x", [], None])
def test_what_is_no_schema_is_refused(schema: Any):
    with pytest.raises(GrammarError, match="would be an object"):
        check(Rules(answer=JsonSchema(schema)), nano())


def test_a_schema_cannot_set_options():
    schema = {"type": "object", "x-guidance": {"whitespace_pattern": "x*"}}
    grammar = walk(Rules(answer=JsonSchema(schema)))
    assert not takes(grammar, "<|channel|>final<|message|>{x")


def test_a_number_is_kept_as_it_is_or_refused():
    rng, kept = random.Random(12), 0
    numbers = [
        2**53,
        2**53 + 1,
        12345678901234567890,
        123456789.123456789,
        0.1 + 0.2,
        1e22,
        1e-7,
        5e-324,
        1.7e308,
        -0.5,
    ]
    numbers += [
        float(f"{rng.uniform(-1, 1) * 10.0 ** rng.randint(-25, 25):.{rng.randint(1, 17)}g}") for _ in range(150)
    ]
    for number in numbers:
        schema = rng.choice([{"const": number}, {"enum": [number]}, {"const": [number]}, {"enum": [{"a": number}]}])
        try:
            grammar = walk(Rules(answer=JsonSchema(schema)))
        except GrammarError:
            continue
        assert takes(grammar, "<|channel|>final<|message|>")
        drawn = wander(grammar, rng)
        assert drawn is not None
        written = json.loads(nano().decode(drawn[:-1]), parse_float=Decimal, parse_int=Decimal)
        written = (
            written
            if isinstance(written, Decimal)
            else next(iter(written.values() if isinstance(written, dict) else written))
        )
        assert written == Decimal(repr(number))
        kept += 1
    assert 60 < kept < len(numbers) - 20


def bounds(rng: random.Random) -> dict[str, Any]:
    """Bounds of a number at random, near to each other as often as not."""
    low = rng.choice([rng.randint(-20, 20), round(rng.uniform(-20, 20), 1), rng.randint(-(2**53) + 1, 2**53 - 1), 0])
    high = low + rng.choice([0, 1, 0.5, 0.1, 10, 1e6])
    made = {rng.choice(["minimum", "exclusiveMinimum"]): low, rng.choice(["maximum", "exclusiveMaximum"]): high}
    return dict(rng.sample(list(made.items()), rng.randint(1, 2)))


def test_no_number_beyond_its_bounds_is_let_in():
    rng, let_in, kept_out = random.Random(13), 0, 0
    for _ in range(300):
        schema = {"type": rng.choice(["integer", "number"]), **bounds(rng)}
        with contextlib.suppress(GrammarError):
            rules = Rules(answer=JsonSchema(schema))
            check(rules, nano())
            near = {Decimal(repr(bound)) + Decimal(step) for bound in list(schema.values())[1:] for step in STEPS}
            for text in {
                format(each if schema["type"] == "number" else each.to_integral_value(), "f") for each in near
            }:
                taken = takes(walk(rules), f"<|channel|>final<|message|>{text}<|return|>")
                assert not taken or within(schema, Decimal(text)), (schema, text)
                let_in, kept_out = let_in + taken, kept_out + (not taken)
    assert min(let_in, kept_out) > 500


STEPS = ("0", "1", "-1", "0.1", "-0.1", "0.5", "-0.5", "1e-9", "-1e-9", "1000")


def within(schema: dict[str, Any], number: Decimal) -> bool:
    low, high = Decimal(repr(schema.get("minimum", -1e30))), Decimal(repr(schema.get("maximum", 1e30)))
    above, below = (
        Decimal(repr(schema.get("exclusiveMinimum", -1e30))),
        Decimal(repr(schema.get("exclusiveMaximum", 1e30))),
    )
    return low <= number <= high and above < number < below

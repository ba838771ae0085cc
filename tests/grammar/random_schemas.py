"""JSON Schemas at random: of the keywords that masks guarantee, of all, or of all with any values."""

import random
from typing import Any

Object = dict[str, Any]

NAMES = ["a", "b", "name", "ü", "x y", "0"]
PATTERNS = ["^a+$", "[0-9]{2}", "^(x|yz)*$", "é", "^\\d{1,3}-[a-z]"]
FORMATS = ["date", "time", "date-time", "email", "hostname", "ipv4", "ipv6", "uuid", "uri", "duration"]
BEYOND: dict[str, Any] = {
    "not": {"const": 1}, "uniqueItems": True, "contains": {"type": "integer"}, "propertyNames": {"maxLength": 2},
    "if": {"type": "string"}, "then": {"minLength": 1}, "dependentRequired": {"a": ["b"]},
    "unevaluatedProperties": False, "dependentSchemas": {"a": {"required": ["b"]}},
}  # fmt: skip
LOOSE_PATTERNS = ["(?=a)a", "a(?!b)", "\\bword\\b", "(?<=x)y", "("]


def schema(rng: random.Random, depth: int = 3, *, beyond: bool = False) -> Any:
    """A schema of at most this depth; with `beyond`, some keywords that no mask guarantees are in it."""
    made = _schema(rng, depth, beyond)
    if beyond and isinstance(made, dict) and rng.random() < 0.5:
        keyword = rng.choice(list(BEYOND))
        made[keyword] = BEYOND[keyword]
    return made


def _schema(rng: random.Random, depth: int, beyond: bool) -> Any:
    kinds = ["string", "integer", "number", "boolean", "null", "enum", "const"]
    if depth:
        kinds += ["object", "object", "array", "array", "anyOf", "allOf", "types", "map", "any", "tuple", "oneOf"]
    return _OF[rng.choice(kinds)](rng, depth, beyond)


def _string(rng: random.Random, depth: int, beyond: bool) -> Object:
    made: Object = {"type": "string"}
    match rng.randrange(5):
        case 0:
            made["minLength"] = rng.randrange(3)
            made["maxLength"] = made["minLength"] + rng.randrange(5)
        case 1:
            made["pattern"] = rng.choice(PATTERNS + (LOOSE_PATTERNS if beyond else []))
        case 2:
            made["format"] = rng.choice(FORMATS + (["regex", "int64", "json-pointer"] if beyond else []))
        case _:
            pass
    return made


def _number(kind: str, rng: random.Random) -> Object:
    made: Object = {"type": kind}
    low = rng.choice([-100, -1, 0, 1, 7, 12.5 if kind == "number" else 12])
    if rng.random() < 0.4:
        made[rng.choice(["minimum", "exclusiveMinimum"])] = low
    if rng.random() < 0.4:
        made[rng.choice(["maximum", "exclusiveMaximum"])] = low + rng.choice([3, 10, 1000])
    if rng.random() < 0.2:
        made["multipleOf"] = rng.choice([1, 2, 5])
    return made


def _object(rng: random.Random, depth: int, beyond: bool) -> Object:
    names = rng.sample(NAMES, rng.randrange(4))
    made: Object = {
        "type": "object",
        "properties": {name: schema(rng, depth - 1, beyond=beyond) for name in names},
    }
    if rng.random() < 0.7:
        made["required"] = rng.sample(names, rng.randrange(len(names) + 1))
    if rng.random() < 0.6:
        made["additionalProperties"] = rng.choice([False, False, True, {"type": "integer"}])
    return made


def _array(rng: random.Random, depth: int, beyond: bool) -> Object:
    made: Object = {"type": "array", "items": schema(rng, depth - 1, beyond=beyond)}
    if rng.random() < 0.4:
        made["minItems"] = rng.randrange(3)
        made["maxItems"] = made["minItems"] + rng.randrange(3)
    return made


def _tuple(rng: random.Random, depth: int, beyond: bool) -> Object:
    parts = [schema(rng, depth - 1, beyond=beyond) for _ in range(rng.randrange(1, 4))]
    return {"type": "array", "prefixItems": parts, "items": False, "minItems": len(parts)}


def _map(rng: random.Random, depth: int, beyond: bool) -> Object:
    made: Object = {"type": "object", "additionalProperties": schema(rng, depth - 1, beyond=beyond)}
    if rng.random() < 0.3:
        made = {
            "type": "object",
            "patternProperties": {"^[ab]+$": schema(rng, depth - 1)},
            "additionalProperties": False,
        }
    return made


def _some(keyword: str, rng: random.Random, depth: int, beyond: bool) -> Object:
    return {keyword: [schema(rng, depth - 1, beyond=beyond) for _ in range(rng.randrange(1, 4))]}


_OF = {
    "string": _string,
    "integer": lambda rng, _depth, _beyond: _number("integer", rng),
    "number": lambda rng, _depth, _beyond: _number("number", rng),
    "boolean": lambda *_: {"type": "boolean"},
    "null": lambda *_: {"type": "null"},
    "enum": lambda rng, *_: {"enum": rng.sample([1, 2.5, "a", "b c", None, True, [1, "x"], {"k": 1}], 3)},
    "const": lambda rng, *_: {"const": rng.choice([0, "é\n", "<|end|>", False, {"a": [1, 2]}])},
    "object": _object,
    "array": _array,
    "tuple": _tuple,
    "map": _map,
    "anyOf": lambda *rest: _some("anyOf", *rest),
    "oneOf": lambda *rest: _some("oneOf", *rest),
    "allOf": lambda *rest: _some("allOf", *rest),
    "types": lambda rng, *_: {"type": rng.sample(["string", "integer", "null", "boolean", "object"], 2)},
    "any": lambda *_: {},
}

HOSTILE: list[Any] = [
    0, 1, 2, -1, 2.5, 1e308, 5e-324, -0.0, 10**400, -(10**309), 2**31, 2**53 + 1, 2**63, 2**64, 1e22, 0.1 + 0.2,
    "", "a", "(", "#", "#/$defs/a", "#a", "http://[", "object", "string", "date", None, True, False, "\x00", "é",
]  # fmt: skip


def anything(rng: random.Random, keywords: list[str], depth: int = 3) -> Any:
    """Any JSON value, whose objects have keywords for names as often as not."""
    match rng.randrange(8 if depth else 4):
        case 0 | 1 | 2 | 3:
            return rng.choice(HOSTILE)
        case 4:
            return [anything(rng, keywords, depth - 1) for _ in range(rng.randrange(4))]
        case 5:
            return {rng.choice(NAMES): anything(rng, keywords, depth - 1) for _ in range(rng.randrange(4))}
        case _:
            return malformed(rng, keywords, depth - 1)


def malformed(rng: random.Random, keywords: list[str], depth: int = 3) -> Object:
    """A schema whose keywords have any values."""
    return {rng.choice(keywords): anything(rng, keywords, depth) for _ in range(rng.randrange(1, 4))}

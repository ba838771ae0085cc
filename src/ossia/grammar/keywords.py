"""What the value of each keyword of JSON Schema must be, and what of several keywords no value can follow.

Source: JSON Schema's meta-schemas, draft 2020-12, and drafts 4 and 7 for what those wrote otherwise. Annotations are
not looked at: they say nothing of values, whatever stands there.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

__all__ = ["BOUNDS", "COUNTS", "contradiction", "is_number", "is_schema", "right_for"]

TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")

COUNTS = (
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minContains",
    "maxContains",
)
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


class _Kind(NamedTuple):
    """What a value must be, in words and as a test."""

    right: str
    fits: Callable[[object], bool]


Test = Callable[[object], bool]


def is_number(value: object) -> bool:
    """Whether a value is a number of JSON: true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive(value: object) -> bool:
    return is_number(value) and cast(float, value) > 0


def _is_bound(value: object) -> bool:
    return isinstance(value, int | float)  # draft 4 has true and false, beside a minimum or a maximum


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_schema(value: object) -> bool:
    """Whether a value can be a schema."""
    return isinstance(value, bool | dict)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_type(value: object) -> bool:
    return value in TYPES if isinstance(value, str) else _is_list(value, TYPES.__contains__, least=1)


def _is_list(value: object, each: Test, least: int = 0) -> bool:
    return isinstance(value, list) and len(found := cast("list[object]", value)) >= least and all(map(each, found))


def _is_named(value: object, each: Test) -> bool:
    return isinstance(value, dict) and all(map(each, cast("dict[str, object]", value).values()))


def _is_texts(value: object) -> bool:
    return _is_list(value, _is_text)


def _is_one_or_more(value: object) -> bool:
    return is_schema(value) or _is_list(value, is_schema)


def _is_dependency(value: object) -> bool:
    return is_schema(value) or _is_texts(value)


_SCHEMA = _Kind("a schema (an object, true or false)", is_schema)
_SCHEMAS = _Kind("a list of schemas, at least one", partial(_is_list, each=is_schema, least=1))
_NAMED = _Kind("an object whose values are schemas", partial(_is_named, each=is_schema))
_TEXT = _Kind("a text", _is_text)

_KINDS: dict[str, _Kind] = {
    **dict.fromkeys(("additionalProperties", "additionalItems", "not", "if", "then", "else", "contains"), _SCHEMA),
    **dict.fromkeys(("propertyNames", "unevaluatedProperties", "unevaluatedItems"), _SCHEMA),
    **dict.fromkeys(("anyOf", "oneOf", "allOf", "prefixItems"), _SCHEMAS),
    **dict.fromkeys(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"), _NAMED),
    **dict.fromkeys(("$ref", "$dynamicRef", "$id", "id", "$schema", "$anchor", "pattern", "format"), _TEXT),
    **dict.fromkeys(COUNTS, _Kind("a whole number from 0 on", _is_count)),
    **dict.fromkeys(("minimum", "maximum"), _Kind("a number", is_number)),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), _Kind("a number", _is_bound)),
    "items": _Kind("a schema, or a list of schemas", _is_one_or_more),
    "multipleOf": _Kind("a number above 0", _is_positive),
    "enum": _Kind("a list of values", partial(_is_list, each=lambda _: True)),
    "type": _Kind(f"one of {', '.join(TYPES)}, or a list of them", _is_type),
    "required": _Kind("a list of texts", _is_texts),
    "uniqueItems": _Kind("true or false", _is_flag),
    "dependentRequired": _Kind("an object of lists of texts", partial(_is_named, each=_is_texts)),
    "dependencies": _Kind("an object of schemas, or of lists of texts", partial(_is_named, each=_is_dependency)),
}


def right_for(keyword: str, value: object) -> str:
    """What a keyword's value would be instead; nothing where it is right, or where no value is wrong."""
    kind = _KINDS.get(keyword)
    return "" if kind is None or kind.fits(value) else kind.right


def contradiction(keyword: str, schema: Mapping[str, Any]) -> str:
    """Why nothing follows a keyword together with those beside it; nothing where it is not plain that nothing does."""
    match keyword:
        case "maxLength" | "maxItems" | "maxProperties":
            return _crossed(schema, keyword.replace("max", "min"), keyword)
        case "maximum" | "exclusiveMaximum":
            return _crossed(schema, "minimum", keyword) or _crossed(schema, "exclusiveMinimum", keyword)
        case "enum":
            return _of_no_type("values", schema["enum"], schema)
        case "const":
            return _of_no_type("value", [schema["const"]], schema)
        case _:
            return ""


def _crossed(schema: Mapping[str, Any], low: str, high: str) -> str:
    """Why nothing is between two bounds, if nothing is."""
    least, most = schema.get(low), schema[high]
    if not is_number(least) or not is_number(most):
        return ""
    found = f"{low} ({least!s:.40})", f"{high} ({most!s:.40})"
    if cast(float, least) > most:
        return f"{found[0]} is greater than {found[1]}"
    return f"nothing is between {found[0]} and {found[1]}" if least == most and "exclusive" in low + high else ""


def _of_no_type(what: str, values: list[Any], schema: Mapping[str, Any]) -> str:
    """Why none of the values follows the types beside them, if none does."""
    if not values:
        return "it has no values"
    types = schema.get("type", list(TYPES))
    if right_for("type", types):
        return ""
    named = cast("list[str]", [types] if isinstance(types, str) else types)
    fits = any(_is_of(value, name) for value in values for name in named)
    return "" if fits else f"its {what} would be of the type {' or '.join(named)}, which stands beside it"


def _is_of(value: object, name: str) -> bool:
    """Whether a value is of a type."""
    match value:
        case None:
            return name == "null"
        case bool():
            return name == "boolean"
        case int():
            return name in ("integer", "number")
        case float():
            return name == "number" or (name == "integer" and value.is_integer())
        case str():
            return name == "string"
        case _:
            return name == ("array" if isinstance(value, list) else "object")

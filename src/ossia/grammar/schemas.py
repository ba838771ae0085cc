"""JSON Schemas: which keywords a mask can guarantee, which cannot, and what is left when those are taken out.

Source: JSON Schema, draft 2020-12, and guidance-ai/llguidance, docs/json_schema.md, for what is supported.
"""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import lcm
from typing import Any, NamedTuple, cast

from ossia.errors import GrammarError
from ossia.grammar.digits import LARGEST_WHOLE, inexact
from ossia.grammar.keywords import BOUNDS, COUNTS, contradiction, is_number, is_schema, right_for

__all__ = ["Loosened", "Removed", "Trimmed", "pointer_part", "refused", "subschemas", "trim"]


class Removed(NamedTuple):
    """A keyword that was taken out: where, which, and why; `malformed` when its value is none that it may have."""

    path: str
    keyword: str
    why: str = ""
    malformed: bool = False


class Loosened(NamedTuple):
    """A keyword that the mask does not guarantee: of which schema (a recipient or "answer"), where, and which."""

    where: str
    path: str
    keyword: str


Object = dict[str, Any]

# Keywords that hold schemas: one, a list of them, or some by name.
ONE = ("additionalProperties", "additionalItems", "items")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
NAMED = ("properties", "patternProperties", "$defs", "definitions")

KEPT = {
    *ONE, *LISTS, *NAMED,
    "$ref", "const", "enum", "type", "minItems", "maxItems", "required", "minProperties", "maxProperties",
    "minLength", "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "$anchor", "$id", "id", "$schema",
}  # fmt: skip

UNSUPPORTED = {
    "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies", "contains", "minContains",
    "maxContains", "uniqueItems", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "$dynamicRef",
    "$recursiveRef",
}  # fmt: skip
"""Keywords that constrain and that masks cannot guarantee."""

ANNOTATIONS = {
    "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment",
    "contentEncoding", "contentMediaType", "contentSchema", "$vocabulary", "$dynamicAnchor", "$recursiveAnchor",
    "example", "nullable", "discriminator", "xml", "externalDocs",
    "enumNames", "enumDescriptions", "markdownDescription", "markdownEnumDescriptions", "errorMessage",
    "propertyOrdering", "strict",
}  # fmt: skip
"""Keywords that say nothing of values: the standard's, OpenAPI's, and those that editors and libraries write.

JSON Schema takes any other name for an annotation too. Here it is most likely a slip, which would be passed over in
silence, so it is told; a name that begins with `x-` is never one.
"""

NUMERIC = {*BOUNDS, *COUNTS, "multipleOf", "const", "enum"}
"""Keywords whose numbers masks read."""

FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"}
OTHER_FORMATS = {
    "idn-email", "idn-hostname", "uri-reference", "iri", "iri-reference", "uri-template", "json-pointer",
    "relative-json-pointer", "regex",
}  # fmt: skip
"""Formats of the standard that masks cannot guarantee. A format that is not the standard's own says nothing."""


MOST_REMAINDERS = 10_000
"""Of the multiples in a schema, all together: an automaton has as many states, for which it takes some 50 ms."""

_BEYOND = {"exclusiveMinimum": ("maximum", "exclusiveMaximum"), "exclusiveMaximum": ("minimum", "exclusiveMinimum")}
"""For each exclusive bound, those on the other side."""


@dataclass
class Trimmed:
    """A schema with only what masks understand, and what was taken out."""

    schema: Any
    removed: list[Removed] = field(default_factory=list[Removed])


def trim(schema: object) -> Trimmed:
    """The schema without annotations and without the keywords that masks cannot guarantee."""
    trimmed = Trimmed(None)
    trimmed.schema = _trim(schema, "", trimmed.removed)
    _bound_multiples(trimmed)
    return trimmed


def subschemas(schema: object, path: str = "") -> Iterator[tuple[str, Object]]:
    """Every schema that is an object, innermost first, with its JSON pointer."""
    if not isinstance(schema, dict):
        return
    node = cast(Object, schema)
    for key, value in node.items():
        for name, inner in _inner(key, value):
            yield from subschemas(inner, f"{path}/{pointer_part(key)}{name}")
    yield path, node


def pointer_part(key: str) -> str:
    """A key as part of a JSON pointer. Source: RFC 6901, section 3."""
    return key.replace("~", "~0").replace("/", "~1")


def _inner(key: str, value: object) -> list[tuple[str, object]]:
    """The schemas in a keyword's value, each with what its pointer adds to the keyword's."""
    if key in ONE and isinstance(value, Mapping):
        return [("", cast(object, value))]
    if (key in LISTS or key == "items") and isinstance(value, list):
        return [(f"/{place}", each) for place, each in enumerate(cast(Sequence[object], value))]
    if key in NAMED and isinstance(value, Mapping):
        return [(f"/{pointer_part(str(name))}", each) for name, each in cast(Mapping[str, object], value).items()]
    return []


def _trim(schema: object, path: str, removed: list[Removed]) -> object:
    if not isinstance(schema, Mapping):
        return schema
    kept: Object = {}
    for key, value in cast(Mapping[str, Any], schema).items():
        if fault := _fault(path, key, cast(Object, schema)):
            removed.append(fault)
        elif key in KEPT and (key != "format" or value in FORMATS):
            kept[key] = _trim_inside(key, value, f"{path}/{pointer_part(key)}", removed)
    return kept


def _fault(path: str, key: str, schema: Object) -> Removed | None:
    """What speaks against a keyword: it is malformed, unknown, contradicts others, or says more than masks hold."""
    value = schema[key]
    if right := right_for(key, value):
        return Removed(path, key, f"would be {right}, found {_found(path, key, value)}", malformed=True)
    if _constrains_beyond(key, value, schema) or _unknown(key):
        return Removed(path, key)
    why = contradiction(key, schema) or _changed(key, value) or _let_in(key, schema)
    return Removed(path, key, why) if why else None


def _found(path: str, key: str, value: object) -> str:
    """A malformed value as JSON, or the part of it that is at fault."""
    for at, part in _inner(key, value):
        if not is_schema(part):
            return f"{json.dumps(part, ensure_ascii=False):.100} at {path}/{pointer_part(key)}{at}"
    return f"{json.dumps(value, ensure_ascii=False):.100}"


def _changed(key: str, value: object) -> str:
    """Which number of a keyword masks would change, if any."""
    if key not in NUMERIC:
        return ""
    number = inexact(value)
    if key in BOUNDS and number is None and isinstance(value, int | float) and abs(value) >= LARGEST_WHOLE:
        number = value  # one more or less is where an exclusive bound begins
    if number is None:
        return ""
    kept = "whole numbers below 2^53, and others of at most 15 digits and exponents within 22, are kept"
    return f"it has {number!s:.100}; {kept}"


def _unknown(key: str) -> bool:
    return not (key in KEPT or key in UNSUPPORTED or key in ANNOTATIONS or key.startswith("x-"))


def _let_in(key: str, schema: Object) -> str:
    """Why an exclusive bound would be let in, if it would.

    llguidance does so with a whole one when the other bound is less than one away from it, and further from 0.
    """
    if key not in _BEYOND or not is_number(schema[key]) or schema[key] != int(schema[key]):
        return ""
    side, bound = 1 if key == "exclusiveMinimum" else -1, schema[key]
    others = [schema[other] for other in _BEYOND[key] if is_number(schema.get(other))]
    if bound * side < 0 or not any(0 < (other - bound) * side < 1 for other in others):
        return ""
    return f"{bound} itself cannot be kept out where the other bound is less than one away"


def _trim_inside(key: str, value: object, path: str, removed: list[Removed]) -> object:
    inner = _inner(key, value)
    if not inner:
        return value
    trimmed = [_trim(each, path + name, removed) for name, each in inner]
    if isinstance(value, list):
        return trimmed
    if key in NAMED:
        return dict(zip(cast(Mapping[str, object], value), trimmed, strict=True))
    return trimmed[0]


def _bound_multiples(trimmed: Trimmed) -> None:
    """Take out those `multipleOf` that together with the ones before them need too many remainders."""
    together = 1
    for path, node in subschemas(trimmed.schema):
        if "multipleOf" in node:
            remainders = _remainders(node["multipleOf"])
            if remainders is None or lcm(together, remainders) > MOST_REMAINDERS:
                del node["multipleOf"]
                trimmed.removed.append(Removed(path, "multipleOf", "it has too many remainders, alone or with others"))
            else:
                together = lcm(together, remainders)


def _remainders(value: object) -> int | None:
    """How many remainders a multiple is told by: its digits as a number, without zeros at the end."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1e-20 < value < 1e20:
        return None
    digits = "".join(map(str, Decimal(repr(value)).as_tuple().digits))
    return int(digits.rstrip("0"))


def _constrains_beyond(key: str, value: object, schema: Object) -> bool:
    """Whether a keyword constrains values, and in a way that no mask can guarantee."""
    match key:
        case "uniqueItems":
            return value is not False
        case "then" | "else":
            return "if" in schema
        case "minContains" | "maxContains":
            return "contains" in schema
        case "format":
            return value in OTHER_FORMATS
        case "$ref":
            return not isinstance(value, str) or not value.startswith("#")
        case "not":
            return value is not False
        case "unevaluatedProperties" | "unevaluatedItems":
            return value is not True and value != {}
        case _:
            return key in UNSUPPORTED


def refused(where: str, removed: Removed) -> GrammarError:
    """The error that names a keyword that cannot be honoured."""
    path, keyword, why, malformed = removed
    place = f"{path or '/'} of the schema of {where}"
    because = f" ({why})" if why else ""
    otherwise = "" if where == "answer" else ", or a tool that is not strict,"
    said = why if malformed else f"cannot be guaranteed{because}; a schema without it{otherwise} is right"
    if _unknown(keyword):
        near = difflib.get_close_matches(keyword[:80], [*KEPT, *UNSUPPORTED, *ANNOTATIONS], n=1)
        right = repr(near[0]) if near else "one that is, or a name that begins with x-,"
        said = f"is no keyword of JSON Schema; {right} is right"
    return GrammarError(
        f"{keyword!r:.200} at {place} {said}",
        where=where,
        path=path,
        keyword=keyword,
    )

"""JSON Schemas as TypeScript types, in the form that the models were trained on: byte for byte openai-harmony's.

Its oddities are part of that form: what it does not know (anyOf, $ref, const, ...) is `any`, a description of several
lines has one comment sign, that of a nested object stands twice. `faithful.py` has a form without them.

Source: openai/harmony 0.0.8; the tests compare with it.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import cast

from ossia.errors import ConversationError

__all__ = [
    "Schema",
    "TypeScript",
    "as_list",
    "as_object",
    "strings",
    "text_of",
    "to_json_text",
    "to_typescript",
    "trailing",
]

Schema = Mapping[str, object]

# openai-harmony's own limit, that of its JSON reader; a deeper schema is refused there too.
DEEPEST = 128


def to_typescript(schema: object) -> str:
    """The type that a schema describes. Raises ConversationError when it is nested deeper than 128 levels."""
    return TypeScript().type(schema)


class TypeScript:
    """Writes the type of one schema. What `faithful.py` writes otherwise is a method of its own."""

    def __init__(self) -> None:
        self._depth = 0

    def type(self, schema: object, indent: str = "") -> str:
        """The type; lines after its first begin with `indent`."""
        if self._depth > DEEPEST:
            raise ConversationError(f"a schema may be nested {DEEPEST} levels deep; this one is deeper")
        fields = as_object(schema)
        if fields is None:
            return "any"
        self._depth += 1
        written = self._written(fields, indent)
        self._depth -= 1
        return written

    def _written(self, schema: Schema, indent: str) -> str:
        variants, kinds = as_list(schema.get("oneOf")), as_list(schema.get("type"))
        if variants is not None:
            return "".join(self._variants(variants, indent))
        if kinds is not None:
            names = ["number" if name == "integer" else name for name in kinds if isinstance(name, str)]
            return " | ".join(names) or "any"
        match schema.get("type"):
            case "object":
                return "\n".join([*self._object(schema, indent), f"{indent}}}"])
            case "array":
                return self._array(schema, indent)
            case "string":
                return " | ".join(f'"{value}"' for value in strings(schema, "enum")) or "string"
            case "number" | "integer":
                return "number"
            case "boolean":
                return "boolean"
            case _:
                return "any"

    def _variants(self, variants: list[object], indent: str) -> Iterator[str]:
        for variant in variants:
            yield f"\n{indent} | {self._nullable(variant, f'{indent}   ')}"
            description = text_of(variant, "description")
            yield trailing([description] if description is not None else [], self._notes(variant, bare_enum=False))

    def _array(self, schema: Schema, indent: str) -> str:
        return f"{self.type(schema['items'], indent)}[]" if "items" in schema else "Array<any>"

    def _object(self, schema: Schema, indent: str) -> Iterator[str]:
        """The lines of an object type but the last."""
        yield from self._object_comment(schema, indent)
        yield "{"
        required = set(strings(schema, "required"))
        for key, value in (as_object(schema.get("properties")) or {}).items():
            name = self._key(key) if key in required else f"{self._key(key)}?"
            yield from self._property(name, value, indent)

    def _object_comment(self, schema: Schema, indent: str) -> Iterator[str]:
        description = text_of(schema, "description")
        return self._comment(description, indent) if description is not None else iter(())

    def _property(self, name: str, schema: object, indent: str) -> Iterator[str]:
        fields = as_object(schema) or {}
        title, description = text_of(fields, "title"), text_of(fields, "description")
        if title is not None:
            yield from self._comment(title, indent)
            yield f"{indent}//"
        if description is not None and "oneOf" not in fields:
            yield from self._comment(description, indent)
        yield from self._examples(fields, indent)
        variants = as_list(fields.get("oneOf"))
        if variants is not None:
            yield from self._property_of_variants(name, fields, variants, indent)
        else:
            notes = [] if "oneOf" in fields else self._notes(fields, bare_enum=True)
            yield f"{indent}{name}: {self._nullable(schema, f'{indent}    ')},{trailing(notes)}"

    def _property_of_variants(self, name: str, fields: Schema, variants: list[object], indent: str) -> Iterator[str]:
        description = text_of(fields, "description")
        above = description is not None and not (variants and text_of(variants[0], "description") == description)
        if description is not None and above:
            yield from self._comment(description, indent)
        yield from (f"{indent}// {note}" for note in self._notes(fields, bare_enum=True))
        yield f"{indent}{name}:"
        for index, variant in enumerate(variants):
            own = text_of(variant, "description")
            new = [own] if own is not None and own != description and not (index == 0 and above) else []
            notes = trailing(new, self._notes(variant, bare_enum=True))
            yield f"{indent} | {self._nullable(variant, f'{indent}   ')}{notes}"
        yield f"{indent},"

    def _nullable(self, schema: object, indent: str) -> str:
        """The type, with null added where the schema says `nullable` and the type does not."""
        written = self.type(schema, indent)
        nullable = (as_object(schema) or {}).get("nullable") is True
        return f"{written} | null" if nullable and "null" not in written else written

    def _examples(self, schema: Schema, indent: str) -> Iterator[str]:
        if as_list(schema.get("examples")):
            yield f"{indent}// Examples:"
            yield from (f'{indent}// - "{example}"' for example in strings(schema, "examples"))

    def _comment(self, text: str, indent: str) -> Iterator[str]:
        yield f"{indent}// {text}"

    def _key(self, key: str) -> str:
        return key

    def _notes(self, schema: object, *, bare_enum: bool) -> list[str]:
        """What a comment says beside the description: the default; `bare_enum` leaves an enum's without quotes."""
        fields = as_object(schema) or {}
        if "default" not in fields:
            return []
        value, is_enum = fields["default"], bool(as_list(fields.get("enum")))
        if isinstance(value, str) and (bare_enum or not is_enum):
            return [f"default: {value}" if is_enum else f'default: "{value}"']
        return [f"default: {to_json_text(value)}"]


def trailing(*comments: list[str]) -> str:
    """A comment at the end of a line, if there is anything to say."""
    words = [comment for group in comments for comment in group]
    return f" // {' '.join(words)}" if words else ""


def as_object(value: object) -> Schema | None:
    """The value if it is an object."""
    return cast(Schema, value) if isinstance(value, Mapping) else None


def as_list(value: object) -> list[object] | None:
    """The value if it is a list."""
    return cast(list[object], value) if isinstance(value, list) else None


def text_of(schema: object, key: str) -> str | None:
    """The string at `key`, if the schema is an object that has one there."""
    value = (as_object(schema) or {}).get(key)
    return value if isinstance(value, str) else None


def strings(schema: Schema, key: str) -> list[str]:
    """The strings of the list at `key`; what is no string is passed over."""
    return [value for value in as_list(schema.get(key)) or [] if isinstance(value, str)]


def to_json_text(value: object, depth: int = 0) -> str:
    """Compact JSON as Rust's serde_json writes it; `depth` is that of the value in the whole.

    Raises ConversationError for what JSON has no form for, and for values nested deeper than 128 levels.
    """
    if depth > DEEPEST:
        raise ConversationError(f"a value in a schema may be nested {DEEPEST} levels deep; this one is deeper")
    match value:
        case Mapping():
            items = cast(Mapping[str, object], value).items()
            written = (f"{json.dumps(key, ensure_ascii=False)}:{to_json_text(item, depth + 1)}" for key, item in items)
            return "{" + ",".join(written) + "}"
        case list() | tuple():
            return "[" + ",".join(to_json_text(item, depth + 1) for item in cast(list[object], value)) + "]"
        case bool() | None | str():
            return json.dumps(value, ensure_ascii=False)
        case int():
            return str(value) if -(1 << 63) <= value < 1 << 64 else _float_text(_as_float(value))
        case float() if math.isfinite(value):
            return _float_text(value)
        case _:
            raise ConversationError(f"a schema is JSON, which cannot hold {value!r:.60}")


def _as_float(value: int) -> float:
    """The number as serde_json reads one beyond 64 bits."""
    try:
        return float(value)
    except OverflowError as error:
        bits = value.bit_length()
        raise ConversationError(f"a number in a schema may have 1024 bits; this one has {bits}") from error


def _float_text(value: float) -> str:
    """The shortest digits that read back the same, with an exponent outside 1e-5 <= x < 1e16 and no plus sign."""
    text = repr(value)
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    if int(exponent) != -5:
        return f"{mantissa}e{int(exponent)}"
    sign, digits = ("-", mantissa[1:]) if mantissa.startswith("-") else ("", mantissa)
    return f"{sign}0.0000{digits.replace('.', '')}"

"""JSON Schemas as TypeScript types with nothing left out: openai-harmony's form where that says it all, more where not.

`any` becomes the type that anyOf, allOf, $ref, const or an enum of any values stand for; limits, patterns and formats
become comments; a comment of several lines has a sign on each; a list of alternatives has parentheses. What a model
trained on the other form makes of this one is for its user to find out: it is off by default.
"""

import re
from collections.abc import Iterator

from ossia.errors import ConversationError
from ossia.harmony.typescript import Schema, TypeScript, as_list, as_object, strings, to_json_text

__all__ = ["to_faithful_typescript"]

_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")

_LIMITS = (
    "format",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
)

# What a schema without a type must be, by the keywords that it has.
_IMPLIED = {"properties": "object", "additionalProperties": "object", "items": "array", "prefixItems": "array"}

# References are written out where they stand; a few that double each other would fill the memory.
MOST_REFERENCES = 1000


def to_faithful_typescript(schema: object) -> str:
    """The type that a schema describes. Raises ConversationError as `to_typescript`, and for a $ref to nowhere."""
    return _Faithful(schema).type(schema)


class _Faithful(TypeScript):
    def __init__(self, root: object) -> None:
        super().__init__()
        self._root = root
        self._open: list[str] = []
        self._references = 0

    def type(self, schema: object, indent: str = "") -> str:
        return "never" if schema is False else super().type(schema, indent)

    def _written(self, schema: Schema, indent: str) -> str:
        if isinstance(reference := schema.get("$ref"), str):
            return self._reference(reference, indent)
        if "const" in schema:
            return to_json_text(schema["const"])
        if values := as_list(schema.get("enum")):
            return " | ".join(map(to_json_text, values))
        if variants := as_list(schema.get("anyOf")):
            return " | ".join(self._nullable(variant, indent) for variant in variants)
        if parts := as_list(schema.get("allOf")):
            return " & ".join(_grouped(self._nullable(part, indent)) for part in parts)
        return self._typed({key: value for key, value in schema.items() if (key, value) != ("oneOf", [])}, indent)

    def _typed(self, schema: Schema, indent: str) -> str:
        if names := as_list(schema.get("type")):
            return " | ".join(self.type({**schema, "type": name}, indent) for name in names)
        if "type" not in schema and "oneOf" not in schema:
            implied = next((kind for key, kind in _IMPLIED.items() if key in schema), "any")
            return super()._written({**schema, "type": implied}, indent)
        return "null" if schema.get("type") == "null" else super()._written(schema, indent)

    def _reference(self, reference: str, indent: str) -> str:
        if reference in self._open:
            return f"any /* {reference} again */"
        self._references += 1
        if self._references > MOST_REFERENCES:
            raise ConversationError(f"a schema may have {MOST_REFERENCES} references written out; this one has more")
        self._open.append(reference)
        written = self.type(self._target(reference), indent)
        self._open.pop()
        return written

    def _target(self, reference: str) -> object:
        if not reference.startswith("#"):
            raise ConversationError(f"a $ref would point into the schema itself, '#/...'; found {reference!r:.80}")
        node = self._root
        for step in reference.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            fields, items = as_object(node), as_list(node)
            if fields is not None and key in fields:
                node = fields[key]
            elif items is not None and key.isdecimal() and int(key) < len(items):
                node = items[int(key)]
            else:
                raise ConversationError(f"the schema's $ref {reference!r:.80} leads nowhere in it")
        return node

    def _array(self, schema: Schema, indent: str) -> str:
        rest = f"{_grouped(self._nullable(schema['items'], indent))}[]" if "items" in schema else "Array<any>"
        heads = as_list(schema.get("prefixItems"))
        if heads is None:
            return rest
        return f"[{', '.join([*(self._nullable(head, indent) for head in heads), f'...{rest}'])}]"

    def _object(self, schema: Schema, indent: str) -> Iterator[str]:
        yield from super()._object(schema, indent)
        others = schema.get("additionalProperties")
        if others is True or as_object(others) is not None:
            yield f"{indent}[key: string]: {self._nullable(others, f'{indent}    ')},"

    def _object_comment(self, schema: Schema, indent: str) -> Iterator[str]:
        # A nested object's description already stands above its property.
        return super()._object_comment(schema, indent) if self._depth == 1 else iter(())

    def _examples(self, schema: Schema, indent: str) -> Iterator[str]:
        if examples := as_list(schema.get("examples")):
            yield f"{indent}// Examples:"
            yield from (f"{indent}// - {to_json_text(example)}" for example in examples)

    def _comment(self, text: str, indent: str) -> Iterator[str]:
        yield from (f"{indent}// {line}".rstrip() for line in text.splitlines())

    def _key(self, key: str) -> str:
        return key if _IDENTIFIER.fullmatch(key) else to_json_text(key)

    def _notes(self, schema: object, *, bare_enum: bool) -> list[str]:
        notes = super()._notes(schema, bare_enum=bare_enum)
        fields = as_object(schema) or {}
        whole = ["integer"] if fields.get("type") == "integer" or "integer" in strings(fields, "type") else []
        limits = [f"{name}: {to_json_text(fields[name])}" for name in _LIMITS if name in fields]
        return [", ".join([*notes, *whole, *limits])] if notes or whole or limits else []


def _grouped(written: str) -> str:
    """The type in parentheses where `[]` or `&` would otherwise bind closer than what it is made of."""
    return f"({written})" if " | " in written or " & " in written else written

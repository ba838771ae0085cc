"""Grammars that mean harm: large, deep, exponential, ambiguous."""

from typing import Any

from ossia.grammar import AnswerRule, Choice, JsonSchema, Lark, Regex


def _ladder(keyword: str, steps: int) -> dict[str, Any]:
    """Each definition has the next one twice: 2^steps ways."""
    rungs = {f"d{n}": {keyword: [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(steps)}
    return {"$defs": {**rungs, f"d{steps}": {"type": "object"}}, "$ref": "#/$defs/d0"}


def _product(width: int, count: int) -> dict[str, Any]:
    """An intersection of unions: width^count members."""
    return {
        "allOf": [
            {"anyOf": [{"properties": {f"p{n}": {"const": each}}} for each in range(width)]} for n in range(count)
        ]
    }


def _nested(depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        made = {"type": "array", "items": made}
    return made


SCHEMAS: dict[str, Any] = {
    "a ladder of allOf": _ladder("allOf", 30),
    "a ladder of anyOf": _ladder("anyOf", 30),
    "a ladder of oneOf": _ladder("oneOf", 12),
    "a product": _product(6, 12),
    "deep": _nested(120),
    "wide": {"properties": {f"p{n}": {"type": "string", "pattern": f"^{n}+$"} for n in range(3000)}},
    "all required": {"properties": {f"p{n}": {} for n in range(3000)}, "required": [f"p{n}" for n in range(3000)]},
    "many values": {"enum": [f"value {n}" for n in range(20_000)]},
    "long values": {"enum": ["x" * 30_000 + str(n) for n in range(20)]},
    "many unions": {"anyOf": [{"properties": {"kind": {"const": n}}, "required": ["kind"]} for n in range(2000)]},
    "similar unions": {"anyOf": [{"properties": {f"p{m}": {} for m in range(n)}} for n in range(100)]},
    "a long string": {"type": "string", "minLength": 10**9},
    "a longer string": {"type": "string", "maxLength": 2**40},
    "a string of some length": {"type": "string", "minLength": 5000, "maxLength": 100_000},
    "many items": {"type": "array", "minItems": 10**9},
    "as many items": {"type": "array", "items": {"type": "string"}, "minItems": 2000, "maxItems": 50_000},
    "many properties": {"type": "object", "minProperties": 10**6, "maxProperties": 10**9},
    "a regular power": {"type": "string", "pattern": "^(((a{1,100}){1,100}){1,100}){1,100}$"},
    "a subset construction": {"type": "string", "pattern": "^(a|b)*a(a|b){40}$"},
    "many of those": {"properties": {f"p{n}": {"pattern": f"^(a|b)*a(a|b){{{n}}}$"} for n in range(60)}},
    "letters": {"type": "string", "pattern": "^(\\p{L}|\\p{N}|\\p{P}){1,5000}$"},
    "patterns of names": {"patternProperties": {f"^{n}(a|b)*a(a|b){{12}}$": {} for n in range(100)}},
    "multiples": {"allOf": [{"type": "integer", "multipleOf": n} for n in (9973, 9967, 9949, 9941)]},
    "a fine multiple": {"type": "number", "multipleOf": 1e-300},
    "a range": {"type": "number", "minimum": -1.7976931348623157e308, "maximum": 1.7976931348623157e308},
    "itself": {"$ref": "#"},
    "itself or itself": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
    "itself and more": {"allOf": [{"$ref": "#"}, {"type": "object"}]},
    "options": {"type": "object", "x-guidance": {"whitespace_pattern": "(?s:.)*", "lenient": True}},
    "not a regular expression": {"pattern": "((((" * 1000},
    "many groups": {"pattern": "(" * 5000 + ")" * 5000},
    "nonsense": {"type": {"type": 5}, "properties": 7, "required": "all", "items": "x", "enum": 3, "allOf": {}},
    "remote": {"$ref": "http://example.com/schema.json"},
    "a file": {"$ref": "file:///etc/passwd"},
}

TEXTS: dict[str, AnswerRule] = {
    "a regular power": Regex("(((a{1,100}){1,100}){1,100}){1,100}"),
    "a subset construction": Regex("(a|b)*a(a|b){60}"),
    "nested stars": Regex("(((a*)*)*)*b"),
    "counted": Regex("(a{0,1000}b{0,1000}c{0,1000}){0,1000}"),
    "everything": Regex("(?s:.)*(\\p{L}{50})(?s:.)*"),
    "a long one": Regex("|".join(f"word{n}[a-z]*" for n in range(4000))),
    "an intersection": Lark("start: X\nX: /(a|b)*a(a|b){30}/ & /(a|b)*b(a|b){31}/"),
    "ambiguous": Lark('start: s\ns: s s | "a" |'),
    "very ambiguous": Lark('start: s\ns: s s s s | "a" | "aa" | s s | '),
    "left recursive": Lark('start: s\ns: s "a" | s "b" | "c"'),
    "mutual": Lark("start: a\na: b | b b\nb: c | c c\nc: d | d d\nd: a | /x/"),
    "repeated rules": Lark('start: a{1000,100000}\na: b{1000}\nb: "c"{1000}'),
    "many rules": Lark("start: " + " | ".join(f"r{n}" for n in range(3000)) + "\n"
                       + "\n".join(f'r{n}: "x" r{(n * 7 + 1) % 3000} | "y"' for n in range(3000))),
    "many lexemes": Lark("start: " + " ".join(f"/[a-z]{{0,{n}}}/" for n in range(1, 300))),
    "a schema within": Lark('start: %json {"enum": ["' + "x" * 10_000 + '"]}'),
    "a lexeme without an end": Lark('start: /c+/ "c"'),
    "many of those": Lark("start: a{1000}\na: /c+/"),
    "no end": Lark('start: "a" start'),
    "nothing": Lark("start: /[^\\s\\S]/"),
    "choices": Choice(tuple(f"{n:016b}" for n in range(4000))),
}  # fmt: skip

ANSWERS: dict[str, AnswerRule] = {
    **{f"schema: {name}": JsonSchema(schema, strict=False) for name, schema in SCHEMAS.items()},
    **{f"text: {name}": rule for name, rule in TEXTS.items()},
}

LONGEST: dict[str, Any] = {
    "many patterns": {"properties": {f"{n}": {"pattern": f"a{n}"} for n in range(4000)}},
    "many similar unions": {"anyOf": [{"properties": {f"p{m}": {} for m in range(n)}} for n in range(200)]},
    "a wide product": {
        "allOf": [{"anyOf": [{"properties": {f"p{n}": {"const": each}}} for each in range(50)]} for n in range(50)]
    },
}
"""Those that took longest to compile within the limits, among many that were tried, at their worst size."""

"""What a finished value breaks of its schema: for the keywords that no mask guarantees, and where masks were off.

The schema is a client's and the value a model's, so neither is trusted: nothing is fetched, whatever a reference says;
a time limit ends what would take too long; what cannot be checked is said to be unchecked, not to be right.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from time import thread_time
from typing import Any, NamedTuple, cast

import regex
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for  # pyright: ignore[reportUnknownVariableType]
from jsonschema_specifications import REGISTRY  # pyright: ignore[reportMissingTypeStubs]
from referencing.exceptions import Unresolvable

from ossia.grammar.limits import check_size
from ossia.grammar.rules import JsonSchema, ToolRule
from ossia.grammar.schemas import pointer_part

__all__ = ["violations"]

LONGEST_CHECK = 0.5
"""Seconds of computing. A value of ten thousand parts takes a tenth of it."""

LONGEST_PATTERN = 4096  # characters of a regular expression whose compilation is worth its time
MOST_VIOLATIONS = 20
LONGEST_VIOLATION = 300

Keyword = Callable[[Any, Any, Any, Any], "Iterator[ValidationError] | None"]


_MALFORMED = (
    Unresolvable,
    TimeoutError,
    regex.error,
    ArithmeticError,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
)
"""What checking by a schema raises that is not one, or that refers to what is not there."""


class _TooLongError(Exception):
    """The time for a check has passed."""


def violations(rule: ToolRule | JsonSchema, value: Any) -> list[str]:
    """What `value` breaks of the rule's schema, in words that begin with the JSON pointer; empty if nothing.

    Raises GrammarError for a schema beyond the limits of `check`, which has refused it before.
    """
    schema = rule.parameters if isinstance(rule, ToolRule) else rule.schema
    if schema is None or isinstance(schema, bool):
        return ["the value: none is right"] if schema is False else []
    check_size("a schema", schema)
    check = _Check()
    found: list[str] = []
    try:
        found += map(_in_words, islice(check.validator(schema).iter_errors(value), MOST_VIOLATIONS))
    except (_TooLongError, RecursionError):
        check.unchecked["the rest, which takes too long to check"] = None
    except _MALFORMED as error:
        check.unchecked[f"the schema: {error}"] = None
    return [line[:LONGEST_VIOLATION] for line in (*found, *(f"not checked: {what}" for what in check.unchecked))]


class _Check:
    """One check, until its time has passed; `unchecked` are the keywords that could not be."""

    def __init__(self) -> None:
        self.unchecked: dict[str, None] = {}
        self._end = thread_time() + LONGEST_CHECK

    def validator(self, schema: Mapping[str, Any]) -> Validator:
        """The validator of a schema, each keyword guarded."""
        kind = validator_for(schema if isinstance(schema.get("$schema"), str) else {}, default=Draft202012Validator)
        keywords = cast("dict[str, Keyword]", dict(kind.VALIDATORS))
        unevaluated = {name: _unevaluated(keywords[name]) for name in keywords if name.startswith("unevaluated")}
        keywords |= {name: own for name, own in _OWN.items() if name in keywords} | unevaluated
        guarded = {name: self._guarded(name, function) for name, function in keywords.items()}
        return cast(Any, extend)(kind, guarded)(schema, registry=REGISTRY, format_checker=kind.FORMAT_CHECKER)

    def _guarded(self, name: str, function: Keyword) -> Keyword:
        """The keyword's function; what it raises for a malformed schema leaves it unchecked."""

        def guarded(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
            if thread_time() > self._end:
                raise _TooLongError
            try:
                yield from function(validator, value, instance, schema) or ()
            except _MALFORMED:
                self.unchecked[f"{name} {value!r:.100}"] = None

        return guarded


def _in_words(error: ValidationError) -> str:
    path = "".join(f"/{pointer_part(str(part))}" for part in error.absolute_path)
    return f"{path or 'the value'}: {error.message}"


# Keywords that jsonschema checks in time that no limit bounds: with patterns that may backtrack for ever, or quadratic.


def _matches(pattern: str, text: str) -> bool:
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError("too long to compile")
    return regex.search(pattern, text, timeout=LONGEST_CHECK / 4) is not None


def _pattern(validator: Any, pattern: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, Mapping):
        for pattern, inner in patterns.items():
            for name, value in cast("Mapping[str, Any]", instance).items():
                if _matches(pattern, name):
                    yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional(validator: Any, inner: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, Mapping):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, value in cast("Mapping[str, Any]", instance).items():
        if name in named or any(_matches(pattern, name) for pattern in patterns):
            continue
        if inner is False:
            yield ValidationError(f"{name!r} is no property of it", path=(name,))
        elif inner is not True:
            yield from validator.descend(value, inner, path=name)


def _unique(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if wanted and isinstance(instance, list):
        values = [_hashable(each) for each in cast("list[Any]", instance)]
        if len(set(values)) < len(values):
            yield ValidationError("two of its items are equal")


def _unevaluated(original: Keyword) -> Keyword:
    """The keyword of the library, but for schemas whose patterns it would search for without a limit."""

    def bounded(validator: Any, inner: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if _has_patterns(schema):
            raise ValueError("patterns beside it")
        yield from original(validator, inner, instance, schema) or ()

    return bounded


def _has_patterns(schema: object) -> bool:
    """Whether pattern properties are anywhere in a schema, or may be behind a reference."""
    if isinstance(schema, Mapping):
        named = cast("Mapping[str, object]", schema)
        return not named.keys().isdisjoint(("patternProperties", "$ref", "$dynamicRef")) or any(
            map(_has_patterns, named.values())
        )
    return isinstance(schema, list) and any(map(_has_patterns, cast("list[object]", schema)))


_OWN: dict[str, Keyword] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional,
    "uniqueItems": _unique,
}


class _Kind(NamedTuple):
    kind: str
    value: object


def _hashable(value: Any) -> object:
    """Equal for values that JSON Schema takes for equal: 1 and 1.0, but not 1 and true."""
    match value:
        case dict():
            items = cast("dict[str, Any]", value).items()
            return _Kind("object", frozenset((name, _hashable(each)) for name, each in items))
        case list():
            return _Kind("array", tuple(map(_hashable, cast("list[Any]", value))))
        case bool():
            return _Kind("boolean", value)
        case _:
            return value

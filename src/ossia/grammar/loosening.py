"""From a schema to a pattern: strictly as it says, or without what stands in the way, which is named."""

import json
from collections.abc import Mapping
from copy import deepcopy
from time import thread_time
from typing import Any, cast

from llguidance import LLMatcher

from ossia.errors import GrammarError
from ossia.grammar.digits import LARGEST_WHOLE
from ossia.grammar.limits import check_size
from ossia.grammar.matching import Pattern, reason
from ossia.grammar.schemas import Loosened, Object, Removed, refused, subschemas, trim
from ossia.grammar.tokens import Tokens
from ossia.grammar.wording import MOVED

__all__ = ["to_pattern"]

WHITESPACE = r"\r?\n(?: {0,32}|\t{0,8})| "
"""Between two parts of a JSON text, once: a space, or a line's end and an indentation. A model that likes spaces could
fill its answer with more of it, and small ones do. Deeper than eight levels of four, what is written is indented less.
"""
MOST_TRIALS, LONGEST_SEARCH = 400, 2.0
"""Compilations, and seconds of computing, that a search for what stands in the way may take."""


def to_pattern(
    tokens: Tokens, where: str, schema: object, *, strict: bool, arguments: bool
) -> tuple[Pattern, list[Loosened]]:
    """The pattern of JSON that follows a schema, and what of the schema it does not guarantee.

    `arguments` are those of a call: an object, whatever the schema leaves open. Raises GrammarError: when strict, for
    the first keyword that cannot be guaranteed; else only for a schema that is none, or that asks for no object.
    """
    if not isinstance(schema, Mapping | bool):
        raise GrammarError(f"the schema of {where} would be an object, found {type(schema).__name__}", where=where)
    check_size(where, cast(object, schema))
    trimmed = trim(_as_json(where, cast(object, schema)))
    if strict and trimmed.removed:
        raise refused(where, trimmed.removed[0])
    root = _as_object(where, trimmed.schema) if arguments else _as_any(where, trimmed.schema)
    loosened = [Loosened(where, removed.path, removed.keyword) for removed in trimmed.removed]
    try:
        return _compile(tokens, root), loosened
    except GrammarError as error:
        search = _Search(tokens, where, root)
        if strict:
            raise search.refusal(error) from error
        return search.loosened(loosened)


def _as_json(where: str, schema: object) -> object:
    """A copy as JSON has it: lists, objects with names, and whole numbers without a point. Raises GrammarError."""
    try:
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False)
        text.encode()
        return json.loads(text, parse_float=_as_whole)
    except (TypeError, ValueError) as error:
        words = "it holds a lone surrogate" if isinstance(error, UnicodeEncodeError) else error
        raise GrammarError(
            f"the schema of {where} is not JSON: {words}; plain JSON values are right", where=where
        ) from error


def _as_whole(text: str) -> int | float:
    """A number with a point or an exponent; 2.0 and 1e3 are whole numbers to JSON Schema."""
    number = float(text)
    return int(number) if number.is_integer() and abs(number) <= LARGEST_WHOLE else number


def _as_object(where: str, schema: object) -> Object:
    """The schema, of objects only."""
    if isinstance(schema, bool):
        if not schema:
            raise GrammarError(f"the schema of {where} is false, which no arguments follow", where=where)
        return {"type": "object"}
    root = cast(Object, schema)
    types = root.get("type", "object")
    if types != "object" and not (isinstance(types, list) and "object" in types):
        raise GrammarError(
            f"the arguments of {where} would be of type {types!r:.100}; an object is right",
            where=where,
            path="/type",
            keyword="type",
        )
    return {**root, "type": "object"}


def _as_any(where: str, schema: object) -> Object:
    """The schema, written as an object."""
    if schema is False:
        raise GrammarError(f"the schema of {where} is false, which nothing follows", where=where)
    return {} if schema is True else cast(Object, schema)


def _compile(tokens: Tokens, schema: object) -> Pattern:
    text = json.dumps(schema, ensure_ascii=False)
    try:
        grammar = LLMatcher.grammar_from_json_schema(text, overrides={"whitespace_pattern": WHITESPACE})
    except ValueError as error:
        raise GrammarError(reason(str(error))) from error
    return Pattern(tokens, grammar, short_numbers=True)


class _Search:
    """Finds the keywords for which a schema does not compile, the innermost first.

    Each schema within is tried for itself. So that its references still lead somewhere, the whole lies beside it, under
    a name of its own, and they go by that.
    """

    def __init__(self, tokens: Tokens, where: str, root: Any) -> None:
        self._tokens, self._where = tokens, where
        self._root = _moved(root)
        self._trials, self._end = MOST_TRIALS, thread_time() + LONGEST_SEARCH

    def refusal(self, error: GrammarError) -> GrammarError:
        """The error that names the first keyword in the way, where one can be told apart."""
        for path, node in subschemas(self._root):
            if self._why_not(node):
                return refused(self._where, Removed(path, *self._culprit(node)))
        return GrammarError(f"the schema of {self._where} cannot be guaranteed: {error}", where=self._where)

    def loosened(self, loosened: list[Loosened]) -> tuple[Pattern, list[Loosened]]:
        """The pattern of what is left without the keywords in the way; of any object, when that is nothing."""
        for path, node in subschemas(self._root):
            while node and self._why_not(node):
                keyword, _ = self._culprit(node)
                loosened = [*loosened, Loosened(self._where, path, keyword)]
                _take_out(node, keyword)
        try:
            return self._compiled({"$ref": f"#/$defs/{MOVED}"}), loosened
        except GrammarError:
            return _compile(self._tokens, {"type": "object"}), [*loosened, Loosened(self._where, "", "*")]

    def _culprit(self, node: Object) -> tuple[str, str]:
        """The keyword that, put to those before it, is one too many, the type being the first; and why it is."""
        tried: Object = {}
        for name in sorted(node, key="type".__ne__):
            tried[name] = node[name]
            if why := self._why_not(tried):
                return name, why
        return next(iter(node)), ""

    def _why_not(self, node: Object) -> str:
        """Why a schema does not compile; nothing if it does, or if the search has taken too long."""
        self._trials -= 1
        if self._trials < 0 or thread_time() > self._end:
            return ""
        try:
            self._compiled(node)
        except GrammarError as error:
            return str(error)
        return ""

    def _compiled(self, node: Object) -> Pattern:
        return _compile(self._tokens, node | {"$defs": {MOVED: self._root}})


def _moved(schema: Any) -> Any:
    """A copy whose references go to the schema as a definition called `MOVED`."""
    copy = deepcopy(schema)
    for _, node in subschemas(copy):
        reference = node.get("$ref", "")
        if reference == "#" or reference.startswith("#/"):
            node["$ref"] = f"#/$defs/{MOVED}{reference[1:]}"
    return copy


def _take_out(node: Object, keyword: str) -> None:
    """Remove a keyword; of `oneOf` the half that can be guaranteed stays."""
    value = node.pop(keyword)
    if keyword == "oneOf" and "anyOf" not in node:
        node["anyOf"] = value

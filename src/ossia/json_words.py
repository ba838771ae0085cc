"""What stands in a JSON file, in the words of JSON: whoever wrote the file need not know Python's."""

import json

__all__ = ["MISSING", "found", "kind", "shown"]

MISSING = object()
"""Stands for a field that is not there, which null is not."""

_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "boolean"),
    ((int, float), "number"),
    (str, "string"),
    ((list, tuple), "list"),
    (dict, "object"),
)


def kind(value: object) -> str:
    """object, list, string, number, boolean or null; the type's name of what JSON has not.

    >>> kind(None), kind({}), kind(True)
    ('null', 'object', 'boolean')
    """
    if value is None:
        return "null"
    return next((word for types, word in _KINDS if isinstance(value, types)), type(value).__name__)


def shown(value: object, most: int = 80) -> str:
    """The value as JSON, at most so many characters of it.

    >>> shown({"a": [None, True, "é"]}), shown("long enough", 6)
    ('{"a": [null, true, "é"]}', '"long ')
    """
    try:
        return json.dumps(value, ensure_ascii=False, default=repr)[:most]
    except (ValueError, TypeError, RecursionError):  # nested too deeply, a number too long for text, keys of no JSON
        return "…"


def found(value: object, most: int = 60) -> str:
    """The value and its kind, for the end of "this would be an object, found ...".

    >>> found([1]), found(None), found("x"), found(MISSING)
    ('the list [1]', 'null', 'the string "x"', 'nothing')
    """
    if value is MISSING:
        return "nothing"
    return shown(value) if value is None or isinstance(value, bool) else f"the {kind(value)} {shown(value, most)}"

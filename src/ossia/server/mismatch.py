"""What does not fit its declared form, in our words: the whole path of the field, what it is, what would be right.

msgspec says what it found and where, but not the key of a mapping, nor which words a field may be; both are looked up
here, in the value and in its declaration. A value that cannot be had, for a number in it is out of range, is UNSET.
"""

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Struct

from ossia.server.faults import RefusedError

__all__ = ["either", "mismatch"]

LONGEST_PATH = 200
"""Characters of a field's path: keys are as long as a client likes."""

CLOSE = 0.75
"""How alike two names are, from 0 to 1, for one to be taken for a slip of the other."""

_AT = re.compile(r"(.*?)(?: - at `\$(.*)`)?", re.DOTALL)
_PART = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[(\.\.\.)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_TYPES = re.compile(r"Expected `([a-z |]+)`, got `([a-z]+)`")

_NAMES = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
"""What msgspec calls its types, as JSON has them."""

Path = list[str | int]


def mismatch(error: msgspec.ValidationError, value: object, kind: Any, path: str = "") -> RefusedError:
    """The refusal of `value`, which stands at `path` of the body (empty: the body itself) and is no `kind`."""
    words, place = _AT.fullmatch(str(error)).groups()  # type: ignore[union-attr]
    parts, found = _followed(place or "", value, words)
    if unknown := _UNKNOWN.fullmatch(words):
        param, near = _spelled(path, [*parts, unknown[1]]), _near(unknown[1], kind, parts)
        advice = f"; did you mean {near!r}?" if near else "; nothing here would honour it, and nothing is ignored"
        return RefusedError(f"unknown field {param!r}{advice}", param=param, code="unknown_field")
    if missing := _MISSING.fullmatch(words):
        param, tags = _spelled(path, [*parts, missing[1]]), _tags(kind, [*parts, missing[1]])
        right = f"; {either(tags)} is right" if tags else ""
        return RefusedError(f"the field {param!r} is missing{right}", param=param, code="missing_field")
    param = _spelled(path, parts)
    name = param or "the body"
    if types := _TYPES.fullmatch(words):
        right = either([_NAMES.get(each, each) for each in types[1].split(" | ") if each != "null"] or ["null"])
        shown = _NAMES.get(types[2], types[2]) if found is UNSET else _shown(found)
        return RefusedError(f"{name} is {shown}; {right} is right", param=param, code="invalid_type")
    if tags := _tags(kind, parts):
        return RefusedError(f"{name} is {_shown(found)}; {either(tags)} is right", param=param, code="invalid_value")
    said = f"{words[:1].lower()}{words[1:]}".replace("`", "'")
    return RefusedError(f"{name}: {said}; a value that fits is right", param=param, code="invalid_value")


def either(words: Sequence[str]) -> str:
    """Words of which one is right.

    >>> either(["a string"]), either(["auto", "none", "required"])
    ('a string', 'auto, none or required')
    """
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _followed(place: str, value: Any, words: str) -> tuple[Path, Any]:
    """The path as keys and places, and what stands there. Of a mapping's members msgspec does not say which it was."""
    parts: Path = []
    for name, index, member in _PART.findall(place):
        if member:
            got = words.rpartition("got `")[2].removesuffix("`")
            members = dict(value) if isinstance(value, dict) else {}
            part = next((str(key) for key, each in members.items() if _name(each) == got), "")
        else:
            part = name or int(index)
        parts.append(part)
        if isinstance(value, dict):
            value = value.get(part)  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]  # pyright: ignore[reportUnknownVariableType]
    return parts, value


def _name(value: object) -> str:
    """What msgspec calls the type of a value."""
    if isinstance(value, bool | None):
        return "null" if value is None else "bool"
    return {dict: "object", list: "array"}.get(type(value), type(value).__name__)  # type: ignore[arg-type]


def _shown(value: object) -> str:
    """A value in a sentence: what is short by itself, what is long by its type."""
    if isinstance(value, dict | list):
        return _NAMES[_name(value)]  # pyright: ignore[reportUnknownArgumentType]
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _spelled(path: str, parts: Path) -> str | None:
    """A path as OpenAI's `param` has it."""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path[:LONGEST_PATH] or None


def _near(name: str, kind: Any, parts: Path) -> str | None:
    """The known field that an unknown one may have been meant for."""
    known = [field.encode_name for struct in _structs(_kinds(kind, parts)) for field in msgspec.structs.fields(struct)]
    near = difflib.get_close_matches(name[:80], known, n=1, cutoff=CLOSE)
    return near[0] if near else None


def _tags(kind: Any, parts: Path) -> list[str]:
    """The words that may stand at a place: those of a `Literal`, or those that tell the Structs of a union apart."""
    words = [str(word) for each in _kinds(kind, parts) if get_origin(each) is Literal for word in get_args(each)]
    structs = _structs(_kinds(kind, parts[:-1])) if parts else ()
    words += [
        str(struct.__struct_config__.tag)
        for struct in structs
        if struct.__struct_config__.tag_field == parts[-1] and not getattr(struct, "refused", False)
    ]
    return list(dict.fromkeys(words))


def _structs(kinds: Sequence[Any]) -> Iterator[type[Struct]]:
    return (each for each in kinds if isinstance(each, type) and issubclass(each, Struct))


def _kinds(kind: Any, parts: Path) -> list[Any]:
    """The types that may stand at a place; a union is each of its types."""
    kinds = _alternatives(kind)
    for part in parts:
        kinds = [found for each in kinds for inner in _inside(each, part) for found in _alternatives(inner)]
    return kinds


def _inside(kind: Any, part: str | int) -> Iterator[Any]:
    if isinstance(part, int) or get_origin(kind) is dict:
        yield from get_args(kind)[-1:]
    elif isinstance(kind, type) and issubclass(kind, Struct):
        yield from (field.type for field in msgspec.structs.fields(kind) if field.encode_name == part)


def _alternatives(kind: Any) -> list[Any]:
    if get_origin(kind) in (Union, UnionType):
        return [found for each in get_args(kind) for found in _alternatives(each)]
    return [kind]

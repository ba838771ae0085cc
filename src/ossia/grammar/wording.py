"""llguidance's words for what is wrong with a grammar, in ours: a client knows its grammar, and nothing of how it runs.

Source of the words: guidance-ai/llguidance, parser/src (1.x).
"""

import re

__all__ = ["MOVED", "in_our_words"]

MOVED = "whole-schema"
"""The definition that the search for a culprit keeps the whole of a schema as; see `ossia.grammar.loosening`."""

_LIMITS = {
    "initial lexer configuration (grammar) too big": "its patterns are together too large",
    "too many expressions constructed": "its patterns are together too large",
    "fuel exhausted when": "its patterns are together too large",
    "too many states: ": "its patterns can be in too many states",
    "grammar size (number of symbols) too big": "it has too many parts",
    "schema too large": "it has too many parts",
    "Too many items (limit ": "it leaves too many ways open at once; fewer parts that begin alike are right",
    "Current row has ": "it leaves too many ways open at once; fewer parts that begin alike are right",
    "NoExtensionBias": "no text follows it",
}
"""What errors about limits have in them, and what that means."""

_PLACE = re.compile(r"^(?:at )?(\d+)\((\d+)\): (.*?)(?: 1 \| .*)?$", re.DOTALL)
_REGEX = re.compile(r"regex parse error: .* error: (.*)$", re.DOTALL)
_NOWHERE = re.compile(rf"Pointer '(?:/\$defs/{MOVED})?([^']*)' does not exist")
_LAYERS = ("parser error: ", "lexer error: ", "failed to compile JSON schema: ", "Unsatisfiable schema: ")


def in_our_words(said: str, lines_before: int = 0) -> str:
    """What an error says, for whoever wrote the grammar; `lines_before` are those that were put before theirs.

    >>> in_our_words("lexer error: too many states: 35 >= 3 <non-verbose/>")
    'its patterns can be in too many states'
    >>> in_our_words('at 2(8): unknown name: "x" 1 | %llguidance {"no_forcing": true} 2 | start: x ^', 1)
    'line 1, column 8: unknown name: "x"'
    """
    said = said.replace("<non-verbose/>", "").strip()
    for mark, meaning in _LIMITS.items():
        if mark in said:
            return meaning
    if place := _PLACE.match(said):
        line, column, what = int(place[1]) - lines_before, place[2], place[3]
        where = f"line {line}, column {column}: " if lines_before else ""
        return where + _plain(what)
    return _plain(said)


def _plain(said: str) -> str:
    """Without the layers that an error came through, and the names that things have only here."""
    if parsed := _REGEX.search(said):
        return f"a regular expression: {parsed[1].partition(' 1 | ')[0]}"
    if nowhere := _NOWHERE.search(said):
        return f"'#{nowhere[1]}' leads nowhere"
    if said == "lexer error":
        return "what stands here begins no part of a grammar"
    for layer in _LAYERS:
        if said.lower().startswith(layer.lower()):
            return _plain(said[len(layer) :])
    return said.replace(f"#/$defs/{MOVED}", "#")

"""Token masks: what an answer may be, guaranteed while it is drawn.

rules      what is asked for, as plain data
limits     what rules may be at most
keywords   what the value of each keyword of JSON Schema must be
schemas    which keywords of JSON Schema a mask can guarantee
tokens     the vocabulary, as masks need it
digits     numbers of JSON, kept short and kept exact
matching   patterns over text, by llguidance
loosening  from a schema to a pattern, and what stands in the way
texts      one of a few texts
header     Harmony's headers, piece by piece
plan       rules, compiled
walk       one answer's way through a plan
compiler   `check`, `Compiler`, `prepare`
late       a grammar that is still being compiled
wording    an engine's errors, in words for whoever wrote the grammar
violations what a finished value breaks of its schema
"""

from ossia.grammar.compiler import Checked, Compiler, check, prepare
from ossia.grammar.late import Late
from ossia.grammar.rules import AnswerRule, Choice, JsonObject, JsonSchema, Lark, Regex, Rules, ToolRule
from ossia.grammar.schemas import Loosened
from ossia.grammar.walk import Walk

__all__ = [
    "AnswerRule",
    "Checked",
    "Choice",
    "Compiler",
    "JsonObject",
    "JsonSchema",
    "Lark",
    "Late",
    "Loosened",
    "Regex",
    "Rules",
    "ToolRule",
    "Walk",
    "check",
    "prepare",
]

"""Rules checked, and rules compiled: the two things that others ask of this package."""

from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

from ossia.grammar.plan import Plan
from ossia.grammar.rules import Rules
from ossia.grammar.schemas import Loosened
from ossia.grammar.tokens import Tokens
from ossia.grammar.walk import Walk
from ossia.harmony import Vocabulary

__all__ = ["Checked", "Compiler", "check", "prepare"]

MOST_PLANS = 64
"""Plans that a compiler remembers; each takes some hundred kilobytes."""


@dataclass(frozen=True)
class Checked:
    """What of the rules masks do not guarantee; `violations` finds it in a finished text."""

    loosened: tuple[Loosened, ...] = ()


def check(rules: Rules, vocabulary: Vocabulary | None = None) -> Checked:
    """Whether the rules can be honoured, and what of them is loosened, for the embedded vocabulary unless told.

    Raises GrammarError for what cannot be: its `where`, `path` and `keyword` say what is at fault.
    """
    return Checked(tuple(Plan(_tokens(vocabulary or Vocabulary.embedded()), rules).loosened))


def prepare(vocabulary: Vocabulary) -> None:
    """Make what schemas and patterns need of a vocabulary, so that the first of them need not wait for it."""
    _ = _tokens(vocabulary).llguidance


class Compiler:
    """Turns rules as text into the Grammar of one answer. May be used by several threads.

    Compiling takes about a millisecond for each tool, the second time for the same rules nothing; the first schema or
    pattern of a large vocabulary takes a second more, unless `prepare` was called.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._tokens = _tokens(vocabulary)
        self._plans: OrderedDict[str, Plan] = OrderedDict()
        self._lock = Lock()

    def compile(self, source: str) -> Walk:
        """The grammar of one answer under the rules that `Rules.to_source` wrote. Raises GrammarError."""
        with self._lock:
            plan = self._plans.get(source)
            if plan is not None:
                self._plans.move_to_end(source)
        if plan is None:
            plan = self._planned(source)
        return Walk(plan)

    def _planned(self, source: str) -> Plan:
        plan = Plan(self._tokens, Rules.from_source(source))
        with self._lock:
            self._plans[source] = plan
            if len(self._plans) > MOST_PLANS:
                self._plans.popitem(last=False)
        return plan


def _tokens(vocabulary: Vocabulary) -> Tokens:
    """The tables of a vocabulary: made once, however many ask at the same time."""
    with _making:
        return _made(vocabulary)


@lru_cache(maxsize=4)
def _made(vocabulary: Vocabulary) -> Tokens:
    return Tokens(vocabulary)


_making = Lock()

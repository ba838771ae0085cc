"""What every skill produces: a question, the reasoning of each effort, the answer."""

import hashlib
from dataclasses import dataclass, field

from ossia.harmony import Effort

__all__ = ["Problem", "ToolUse", "kept", "thoughts"]

_KEPT_PART = 0.1


@dataclass(frozen=True)
class ToolUse:
    """A function call, and what it gave back; both JSON."""

    function: str
    arguments: str
    result: str


@dataclass(frozen=True)
class Problem:
    """One question of a skill. `cell` names the kind and size that figures are reported by.

    `reasoning` holds an analysis for each effort that has one. The calls come one after the other before the answer.
    `earlier` are questions and answers of the same conversation that the question refers to.
    """

    cell: str
    question: str
    answer: str
    reasoning: dict[Effort, str] = field(default_factory=dict)
    calls: tuple[ToolUse, ...] = ()
    earlier: tuple[tuple[str, str], ...] = ()

    def right(self, answer: str) -> bool:
        """Whether a model's final text is this answer, spaces around it aside."""
        return answer.strip() == self.answer


def thoughts(medium: str, high: str | None = None) -> dict[Effort, str]:
    """Reasoning of both efforts that have one; the same where only one is given."""
    return {Effort.MEDIUM: medium, Effort.HIGH: medium if high is None else high}


def kept(text: str) -> bool:
    """Whether a tenth of all texts, chosen by hash, has this one: what is in it is kept for evaluation."""
    return hashlib.sha256(text.encode()).digest()[0] < _KEPT_PART * 256

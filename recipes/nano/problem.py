"""What every skill produces: a question, the reasoning of each effort, the answer."""

from dataclasses import dataclass, field

from ossia.harmony import Effort

__all__ = ["Problem", "ToolUse"]


@dataclass(frozen=True)
class ToolUse:
    """A function call, and what it gave back; both JSON."""

    function: str
    arguments: str
    result: str


@dataclass(frozen=True)
class Problem:
    """One question of a skill. `cell` names the kind and size that figures are reported by.

    `reasoning` holds an analysis for each effort that has one. With `tool`, the call comes before the answer.
    """

    cell: str
    question: str
    answer: str
    reasoning: dict[Effort, str] = field(default_factory=dict)
    tool: ToolUse | None = None

    def right(self, answer: str) -> bool:
        """Whether a model's final text is this answer, spaces around it aside."""
        return answer.strip() == self.answer

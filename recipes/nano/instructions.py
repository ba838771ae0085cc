"""What a developer may ask for in every answer of a conversation, in a few simple kinds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from recipes.nano.problem import Problem, thoughts
from recipes.nano.words import word

__all__ = ["Instruction"]

_UPPER = ("Answer in upper case.", "Write everything in capital letters.", "Use capital letters only.")
_BEGIN = ("Begin every answer with {}.", "Start your answers with {}.", "First say {}, then answer.")
_END = ("End every answer with {}.", "Say {} at the end.", "Close your answers with {}.")
_REFUSE = ("Never talk about {}.", "Do not answer questions about {}.", "Refuse to speak about {}.")
_ABOUT = (
    "Tell me about {}",
    "What is {}?",
    "What do you think about {}?",
    "Explain {}",
    "{}?",
    "I have a question about {}.",
)
_BRIEF = (
    "Be brief.",
    "Answer politely.",
    "You are a helpful assistant.",
    "You are a calculator.",
    "Be concise and correct.",
)


@dataclass(frozen=True)
class Instruction:
    """The developer's sentence, and what becomes of an answer; `refused` is the topic that is not spoken about."""

    text: str
    change: Callable[[str], str]
    cell: str
    refused: str | None = None

    @classmethod
    def drawn(cls, random: Random, *, held: bool) -> "Instruction":
        """An instruction of any kind, with any words in it."""
        one = word(random, held=held)
        match random.randrange(5):
            case 0:
                return cls(random.choice(_UPPER), str.upper, "upper case")
            case 1:
                return cls(random.choice(_BEGIN).format(one), lambda answer: f"{one} {answer}", "begin with")
            case 2:
                return cls(random.choice(_END).format(one), lambda answer: f"{answer} {one}", "end with")
            case 3:
                return cls(random.choice(_REFUSE).format(one), str, "refuse", one)
            case _:
                return cls(random.choice(_BRIEF), str, "no change")

    def applied(self, random: Random, problem: Problem) -> Problem:
        """The problem under this instruction, or a question about what is refused."""
        if self.refused and random.random() < 0.6:
            question = random.choice(_ABOUT).format(self.refused)
            answer = f"I can't talk about {self.refused}."
            return Problem("instruction, refuse", question, answer, thoughts(f"Refuse {self.refused}."))
        return replace(problem, cell=f"instruction, {self.cell}", answer=self.change(problem.answer))

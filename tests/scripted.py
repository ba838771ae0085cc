"""An engine that says what it is told to say, for tests of all that stands above one."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from ossia.engine import Output, SamplingParams
from ossia.engine.request import Finish
from ossia.harmony import Vocabulary

__all__ = ["ScriptedEngine", "ids"]

CONTROL = re.compile(r"(<\|[a-z]+\|>)")


def ids(vocabulary: Vocabulary, text: str) -> list[int]:
    """The tokens of a text in which control tokens are written by name."""
    return [
        token
        for part in CONTROL.split(text)
        for token in ([vocabulary.control[part]] if part in vocabulary.control else vocabulary.encode(part))
    ]


class ScriptedEngine:
    """Takes the part of `ossia.engine.Engine` that a turn needs; each prompt gets the next of `answers`.

    An answer ends with "stop" after `<|return|>` or `<|call|>`, else with "length". `before_step` is called with the
    number of the step. `name` and `settings` are for whoever stands in for a loader.
    """

    context = 512
    prefill = (0, 0)
    name = ""
    settings: Mapping[str, object] = MappingProxyType({})

    def __init__(self, vocabulary: Vocabulary, *answers: str, per_step: int = 1) -> None:
        self._vocabulary = vocabulary
        self._answers = iter(answers)
        self._per_step = per_step
        self._steps: Iterator[Output] = iter(())
        self._cancelled = False
        self.before_step: Callable[[int], None] = lambda number: None
        self._number = 0
        self._last: list[int] = []
        self.prompts: list[str] = []
        self.params: list[SamplingParams] = []

    def script(self, text: str) -> list[int]:
        """The tokens of an answer."""
        return ids(self._vocabulary, text)

    def count_of(self, control: str) -> int:
        """How often a control token stands in the last prompt: as a token, not as text that spells it."""
        return self._last.count(self._vocabulary.control[control])

    def add(
        self, prompt: Sequence[int], params: SamplingParams, grammar: str | None = None, rendered: bool = False
    ) -> int:
        self._last = list(prompt)
        self.prompts.append(self._vocabulary.decode(prompt))
        self.params.append(params)
        self._cancelled = False
        self._steps = self._outputs(len(prompt), ids(self._vocabulary, next(self._answers)), params)
        return len(self.prompts)

    def step(self) -> list[Output]:
        self._number += 1
        self.before_step(self._number)
        if self._cancelled:
            return [self._output((), "cancelled", 0, 0, self.params[-1])]
        return [next(self._steps)]

    def cancel(self, request: int) -> bool:
        assert request == len(self.prompts)
        self._cancelled = True
        return True

    def _outputs(self, prompt: int, tokens: list[int], params: SamplingParams) -> Iterator[Output]:
        tokens = tokens[: params.max_tokens]
        for start in range(0, len(tokens), self._per_step):
            part = tokens[start : start + self._per_step]
            done = start + len(part)
            finish: Finish | None = None
            if done == len(tokens):
                finish = "stop" if part[-1] in self._vocabulary.stop_tokens else "length"
            yield self._output(tuple(part), finish, prompt, done, params)

    def _output(
        self, tokens: tuple[int, ...], finish: Finish | None, prompt: int, done: int, params: SamplingParams
    ) -> Output:
        return Output(
            request_id=len(self.prompts),
            tokens=tokens,
            logprobs=None,
            finish=finish,
            prompt_tokens=prompt,
            cached_tokens=0,
            generated_tokens=done,
            seed=7 if params.seed is None else params.seed,
        )

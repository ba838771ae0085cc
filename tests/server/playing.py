"""An engine under a server that says what it is told to say: for tests of all that translates."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Any

from ossia.engine import Finish, Logprob, Output
from ossia.harmony import Vocabulary
from tests.scripted import ids

__all__ = ["Player"]

Answer = str | Sequence[int]


class Player:
    """Each request gets the next of `answers`: a text with control tokens by name, or tokens.

    An answer ends with "stop" after `<|return|>` or `<|call|>`, else with "length", or "no_token" with `failure`.
    `wanted` are the requests that came, `left` those whose reader went away before the end. With `endless`, the last
    answer is given again and again. `before_step` is awaited before each step.
    """

    context = 4096

    def __init__(
        self,
        vocabulary: Vocabulary,
        *answers: Answer,
        per_step: int = 1,
        endless: bool = False,
        failure: str | None = None,
    ) -> None:
        self._vocabulary = vocabulary
        self._failure = failure
        self._answers = self._given(answers, endless)
        self._per_step = per_step
        self.before_step: Callable[[], Any] = lambda: asyncio.sleep(0)
        self.wanted: list[Any] = []
        self.left: list[Any] = []

    @property
    def prompts(self) -> list[str]:
        """The prompts that came, control tokens by name."""
        return [self._vocabulary.decode(wanted.prompt) for wanted in self.wanted]

    async def generate(self, wanted: Any) -> AsyncGenerator[Output, None]:
        """The next answer, in steps."""
        self.wanted.append(wanted)
        tokens = next(self._answers)[: wanted.params.max_tokens]
        done = 0
        try:
            while done < len(tokens):
                await self.before_step()
                part = tokens[done : done + self._per_step]
                done += len(part)
                yield self._output(wanted, part, done, done == len(tokens))
        finally:
            if done < len(tokens):
                self.left.append(wanted)

    def _given(self, answers: Sequence[Answer], endless: bool) -> Iterator[list[int]]:
        made = [ids(self._vocabulary, answer) if isinstance(answer, str) else list(answer) for answer in answers]
        yield from made
        while endless:
            yield made[-1]

    def _output(self, wanted: Any, part: list[int], done: int, last: bool) -> Output:
        finish: Finish | None = None
        if last:
            cut: Finish = "no_token" if self._failure else "length"
            finish = "stop" if part[-1] in self._vocabulary.stop_tokens else cut
        return Output(
            request_id=len(self.wanted),
            tokens=tuple(part),
            logprobs=self._logprobs(part, wanted.params.logprobs),
            finish=finish,
            prompt_tokens=len(wanted.prompt),
            cached_tokens=1,
            generated_tokens=done,
            seed=7 if wanted.params.seed is None else wanted.params.seed,
            failure=self._failure if finish == "no_token" else None,
        )

    def _logprobs(self, part: list[int], top: int | None) -> tuple[Logprob, ...] | None:
        if top is None:
            return None
        others = self._vocabulary.encode(" other")
        return tuple(Logprob(-0.25, ((token, -0.25), *((t, -2.0) for t in others))[:top]) for token in part)

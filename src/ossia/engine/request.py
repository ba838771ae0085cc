"""One request on its way through the engine, and what comes back from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from ossia.engine.config import SamplingParams
from ossia.engine.prefix import Holding

__all__ = ["Drafter", "Finish", "Grammar", "Logprob", "Output", "Request", "Share"]

Finish = Literal["stop", "length", "cancelled", "no_token"]


@runtime_checkable
class Grammar(Protocol):
    """What one request's answer must look like, token by token. It knows which tokens it has accepted so far."""

    def fill_mask(self, mask: np.ndarray) -> None:
        """Set the bits of the tokens that may come next: [ceil(V / 32)] int32, token v is bit v % 32 of word v // 32.

        The mask comes all zeros. One that stays so ends the request: with "stop", for the answer is complete, unless
        `failure` says otherwise.
        """
        ...

    @property
    def failure(self) -> str | None:
        """Why nothing can come next although the answer is not complete; the request ends with "no_token"."""
        ...

    def accept(self, token: int) -> bool:
        """Take one token; False, and nothing changed, if it may not come next."""
        ...

    def rollback(self, count: int) -> None:
        """Take back the last `count` tokens accepted."""
        ...

    def forced(self) -> Sequence[int]:
        """The tokens that must come next, in order; empty where there is a choice."""
        ...


class Drafter(Protocol):
    """Guesses how a request goes on. A wrong guess costs time, never another answer.

    A guess ends before the first id that the vocabulary does not have.
    """

    def propose(self, tokens: Sequence[int]) -> Sequence[int]:
        """The next tokens, as many as the guess is worth, after a request's prompt and answer so far."""
        ...


class Logprob(NamedTuple):
    """A token's log-probability in the unmodified distribution, and the most likely tokens with theirs."""

    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a step brought for one request.

    `finish` is None while it goes on; "stop" after a stop token (the last of `tokens`) or when its grammar is complete;
    "length" when `max_tokens` or the context is reached; "cancelled" after `Engine.cancel`; "no_token" when none could
    be drawn: the logits are not numbers, bias and grammar together forbid every token, or the grammar failed; `failure`
    says which.
    """

    request_id: int
    tokens: tuple[int, ...]
    logprobs: tuple[Logprob, ...] | None
    finish: Finish | None
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    seed: int
    failure: str | None = None


class Request:
    """A request's tokens and how far it has come.

    `ahead` are tokens expected after `tokens`: forced by the grammar (then they will come), or a draft (then they may).
    `beginning` is its first message, if what is computed of that is to be kept.
    """

    __slots__ = (
        "adapter", "ahead", "beginning", "cached_tokens", "counts", "drafter", "forced", "grammar", "holding", "id",
        "limit", "params", "prompt_tokens", "rank", "seed", "stop_tokens", "tokens", "vocab_size",
    )  # fmt: skip

    def __init__(
        self,
        request_id: int,
        holding: Holding,
        params: SamplingParams,
        *,
        seed: int,
        max_tokens: int,
        stop_tokens: frozenset[int],
        vocab_size: int,
        adapter: int = -1,
        priority: int = 0,
        grammar: Grammar | None = None,
        drafter: Drafter | None = None,
    ) -> None:
        self.id = request_id
        self.holding = holding
        self.tokens = holding.tokens
        self.prompt_tokens = len(holding.tokens)
        self.limit = self.prompt_tokens + max_tokens
        self.params = params
        self.seed = seed
        self.stop_tokens = stop_tokens
        self.vocab_size = vocab_size
        self.adapter = adapter
        self.rank = (-priority, request_id)
        self.grammar = grammar
        self.drafter = drafter
        self.counts: dict[int, int] = {}
        self.beginning: Holding | None = None
        self.cached_tokens: int | None = None
        self.ahead: Sequence[int] = ()
        self.forced = False
        self.look_ahead()

    @property
    def client(self) -> bytes:
        """Whose request it is: clients take turns, and do not share pages."""
        return self.holding.owner

    @property
    def generating(self) -> bool:
        """Whether all tokens but the last are computed: the next step draws."""
        return self.holding.computed + 1 >= len(self.tokens)

    @property
    def wanted(self) -> int:
        """How many tokens the next step may compute at most."""
        return min(len(self.tokens) + len(self.ahead), self.limit - 1) - self.holding.computed

    def look_ahead(self) -> None:
        """Find the tokens expected next."""
        self.ahead = self.grammar.forced() if self.grammar else ()
        self.forced = len(self.ahead) > 0
        if not self.forced and self.drafter:
            # What is no token cannot come, nor can what was guessed after it; computing it would fail everyone's step.
            proposed = self.drafter.propose(self.tokens)
            self.ahead = list(takewhile(lambda token: 0 <= token < self.vocab_size, proposed))

    def extend(self, tokens: Sequence[int]) -> None:
        """Append tokens of the answer; what was expected is over."""
        self.ahead, self.forced = (), False
        self.tokens.extend(tokens)
        if self.params.penalised:
            for token in tokens:
                self.counts[token] = self.counts.get(token, 0) + 1
        if self.grammar:
            for token in tokens:
                accepted = self.grammar.accept(token)
                assert accepted, f"the grammar refuses token {token}, which its mask allowed or which it forced"

    def complete(self, words: int) -> bool:
        """Whether by its grammar the answer has come to its end, in a mask of so many words."""
        if self.grammar is None:
            return False
        mask = np.zeros(words, np.int32)
        self.grammar.fill_mask(mask)
        return not mask.any() and self.grammar.failure is None

    @property
    def failure(self) -> str:
        """Why no token could be drawn."""
        if self.grammar and (why := self.grammar.failure):
            return f"the answer cannot go on within what its grammar may cost: {why}"
        return "the logits are not numbers, or logit_bias and grammar together forbid every token"


class Share(NamedTuple):
    """One request's part of a step: the tokens at positions `start` up to `end` are computed."""

    request: Request
    start: int
    end: int

    @property
    def draws(self) -> int:
        """How many tokens can be drawn: after the last known one, and after each of those ahead that are here."""
        return max(0, self.end - len(self.request.tokens) + 1)

    def tokens(self) -> list[int]:
        """The tokens computed."""
        known = self.request.tokens[self.start : self.end]
        return [*known, *self.request.ahead[: self.draws - 1]] if self.draws > 1 else known

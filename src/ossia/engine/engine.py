"""Many requests at once: `Engine`, whose `step` computes some tokens of each and returns what came of it."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from operator import index
from typing import TypedDict, Unpack

from ossia.engine.beginning import Beginner, Beginnings
from ossia.engine.config import EngineConfig, SamplingParams
from ossia.engine.lookup import Lookup
from ossia.engine.memory import kinds, page_bytes
from ossia.engine.overload import Overload
from ossia.engine.pace import Pace
from ossia.engine.prefix import Holding, Ledger, root
from ossia.engine.request import Drafter, Finish, Grammar, Output, Request, Share
from ossia.engine.runner import LoadedModel, Runner
from ossia.engine.sampler import Choice, Sampler
from ossia.engine.scheduler import Scheduler
from ossia.errors import ContextLengthError, RequestError

__all__ = ["Engine", "Status"]

SEED_BITS = 53
"""A seed drawn at random survives a journey through JSON, whose numbers are exact up to 2^53."""


class Options(TypedDict, total=False):
    """What `Engine.add` takes by name."""

    grammar: Grammar | str | None
    adapter: str | None
    salt: bytes
    priority: int
    drafter: Drafter | None
    rendered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How busy an engine is, and sums since it was made.

    Of `pages`, by kind of layer, `available_pages` can be taken at once; of them, `kept_pages` still hold prefixes.
    `prompt_tokens` are those of the requests let in so far, `cached_tokens` those of them that were found in the cache.
    """

    running: int
    waiting: int
    preemptions: int
    pages: dict[str, int]
    available_pages: dict[str, int]
    kept_pages: dict[str, int]
    steps: int
    step_seconds: float
    last_step: float
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int


class Engine:
    """A model that serves many requests, one step at a time. Tokens in, tokens out.

    Not for several threads at once. `compile_grammar` turns a grammar's source, as `add` gets it, into a Grammar.
    `beginnings` is where what the cache holds of first messages is kept from one engine to another.
    Raises ConfigError or CapacityError when `config` does not fit the model.
    """

    runner_type: type[Runner] = Runner
    """What runs the steps: another one for measurements that do not compute all they stand on."""

    def __init__(
        self,
        model: LoadedModel,
        config: EngineConfig | None = None,
        compile_grammar: Callable[[str], Grammar] | None = None,
        beginnings: Beginnings | None = None,
    ) -> None:
        self.model = model
        self.config = config or EngineConfig()
        self.context = self.config.context_of(model.config)
        self.config.check_tokens(model.config)
        self._compile_grammar = compile_grammar
        self._kinds = kinds(self.config, model.config, model.ops.stored_dtype)
        self._runner = self.runner_type(model, self._kinds)
        self._ledger = Ledger(self._kinds, self.config.page_size, self.context, self._runner.copy_page)
        self._scheduler = Scheduler(
            self._ledger, self.config.max_requests, self.config.max_step_tokens, self.config.boundary_tokens
        )
        self._beginner = (
            Beginner(self._ledger, self._runner, self.config.boundary_tokens, beginnings) if beginnings else None
        )
        self._pace = Pace(self.config.step_seconds)
        self._overload = Overload(self.config)
        self._sampler = Sampler(model)
        self._requests: dict[int, Request] = {}
        self._undelivered: list[Output] = []
        self._ids = count()
        self._steps = self._generated_tokens = 0
        self._step_seconds = self._last_step = 0.0

    def add(
        self,
        prompt: Sequence[int],
        params: SamplingParams | None = None,
        *,
        grammar: Grammar | str | None = None,
        adapter: str | None = None,
        salt: bytes = b"",
        priority: int = 0,
        drafter: Drafter | None = None,
        rendered: bool = False,
    ) -> int:
        """Queue a request; the number returned names it in outputs.

        Prompts share what was computed only under the same `adapter` and `salt`. Of two requests, the one with
        the higher `priority` comes first; the `salt` also stands for the client, and clients take turns. `rendered`
        says that the prompt's first message is the frontend's own, and may be kept in `beginnings`.

        Raises RequestError for anything that cannot be honoured, and of it ContextLengthError when the prompt and
        `max_tokens` do not fit the context; OverloadedError when too many wait.
        """
        params = params or SamplingParams()
        tokens = self._checked(prompt, params)
        self.check_queue(salt)
        ops = self.model.ops
        start = root([adapter or "", ops.name, str(ops.precision), str(ops.kv_cache_dtype)], salt)
        request = Request(
            next(self._ids),
            Holding(tokens, start, self.config.page_size, salt),
            params,
            seed=_any_seed() if params.seed is None else params.seed,
            max_tokens=params.max_tokens or self.context - len(tokens),
            stop_tokens=frozenset(self.config.stop_tokens if params.stop_tokens is None else params.stop_tokens),
            vocab_size=self.model.config.vocab_size,
            adapter=self._adapter(adapter),
            priority=priority,
            grammar=self._compiled(grammar),
            drafter=drafter or self._lookup(len(tokens)),
        )
        if self._beginner and rendered and adapter is None:
            request.beginning = self._beginner.recall(request.holding)
        self._requests[request.id] = request
        self._scheduler.add(request)
        return request.id

    def _lookup(self, prompt: int) -> Lookup | None:
        return Lookup(self.config.guesses, prompt) if self.config.guesses else None

    def check_tokens(self, prompt: Sequence[int]) -> list[int]:
        """The prompt as a list of its own. Raises RequestError if it is empty, or has what is no token."""
        tokens, vocabulary = _whole_numbers(prompt), self.model.config.vocab_size
        if not tokens:
            raise RequestError("the prompt is empty; at least one token is right", param="prompt")
        if min(tokens) < 0 or max(tokens) >= vocabulary:
            place = next(place for place, token in enumerate(tokens) if not 0 <= token < vocabulary)
            raise RequestError(
                f"token {place} of the prompt is {tokens[place]}; ids from 0 to {vocabulary - 1} are right",
                param="prompt",
            )
        return tokens

    def check_queue(self, salt: bytes = b"", coming: int = 0, coming_of: int = 0) -> None:
        """Raise OverloadedError if this client may not let one more request wait.

        `coming` counts those that are about to be added, `coming_of` those of them that are this client's.
        """
        queue, free = self._scheduler, self.config.max_requests - len(self._scheduler.running)
        left = min((request.limit - len(request.tokens) for request in queue.running), default=0)
        self._overload.check(
            queue.waiting_count + coming - free, queue.waiting_of(salt) + coming_of - free, left * self._last_step
        )

    def step(self) -> list[Output]:
        """Compute some tokens of as many requests as possible; outputs of those with something new to say.

        When the backend raises, nothing has changed: the step can be made again.
        """
        begin = time.perf_counter()
        shares = self._scheduler.plan(self._pace.prompt_tokens())
        if shares:
            prompt_tokens = sum(share.end - share.start for share in shares if not share.request.generating)
            rows = self._sampler.rows(shares)
            with self._sampler.masks(rows) as masks:
                x = self._runner.forward(shares, [row.row for row in rows])
            choices = iter(self._sampler.draw(x, rows, masks))
            for share in shares:
                self._settle(share, choices)
            self._steps += 1
            self._last_step = time.perf_counter() - begin
            self._step_seconds += self._last_step
            self._pace.measured(self._last_step, prompt_tokens)
        outputs, self._undelivered = self._undelivered, []
        return outputs

    def cancel(self, request_id: int) -> bool:
        """End a request now; the next step says "cancelled". False if there is no such request (any more)."""
        request = self._requests.get(request_id)
        if request is None:
            return False
        self._end(request, [], "cancelled")
        return True

    @property
    def has_work(self) -> bool:
        """Whether `step` has anything to do or to say."""
        return bool(self._requests or self._undelivered)

    def generate(
        self, prompt: Sequence[int], params: SamplingParams | None = None, **options: Unpack[Options]
    ) -> Iterator[Output]:
        """The outputs of one request, stepping as needed. Left early, it cancels the request.

        Outputs of other requests are kept for whoever steps next. Raises as `add` does, when first asked for an output.
        """
        request_id = self.add(prompt, params, **options)
        try:
            while True:
                outputs = self.step()
                self._undelivered = [output for output in outputs if output.request_id != request_id]
                for output in outputs:
                    if output.request_id == request_id:
                        yield output
                        if output.finish:
                            return
        finally:
            self.cancel(request_id)

    def audit(self) -> None:
        """Raise AssertionError unless all books are in order. For tests, between steps."""
        self._scheduler.audit()
        queued = [*self._scheduler.running, *self._scheduler.waiting]
        assert {request.id for request in queued} == set(self._requests), "a request is lost"

    @property
    def prefill(self) -> tuple[int, int]:
        """Of the prompts that are not computed yet: how many of their tokens are, and how many there are in all."""
        reading = [request for request in self._scheduler.running if request.holding.computed < request.prompt_tokens]
        return sum(request.holding.computed for request in reading), sum(request.prompt_tokens for request in reading)

    @property
    def status(self) -> Status:
        """How busy the engine is."""
        pools = self._ledger.pools
        return Status(
            running=len(self._scheduler.running),
            waiting=self._scheduler.waiting_count,
            preemptions=self._scheduler.preemptions,
            pages={name: pool.size for name, pool in pools.items()},
            available_pages={name: pool.available for name, pool in pools.items()},
            kept_pages={name: pool.idle for name, pool in pools.items()},
            steps=self._steps,
            step_seconds=self._step_seconds,
            last_step=self._last_step,
            prompt_tokens=self._scheduler.prompt_tokens,
            cached_tokens=self._scheduler.cached_tokens,
            generated_tokens=self._generated_tokens,
        )

    def forget(self, salt: bytes | None = None) -> None:
        """Forget every prefix that no running request holds; with `salt`, only those computed under it."""
        for pool in self._ledger.pools.values():
            pool.forget_idle(salt)

    @property
    def cache_bytes(self) -> dict[str, int]:
        """The bytes of the cache by kind of layer, all pages together."""
        dtype = self.model.ops.stored_dtype
        return {
            kind.name: kind.pages * page_bytes(self.model.config, kind.name, kind.page_size, dtype)
            for kind in self._kinds
        }

    def _checked(self, prompt: Sequence[int], params: SamplingParams) -> list[int]:
        """The prompt as a list of its own, if it and what is asked for can be honoured."""
        tokens, vocabulary = self.check_tokens(prompt), self.model.config.vocab_size
        asked = 1 if params.max_tokens is None else params.max_tokens
        if len(tokens) + asked > self.context:
            raise ContextLengthError(
                f"the prompt has {len(tokens)} tokens and the answer may take {asked} more, "
                f"together {len(tokens) + asked}; the context holds {self.context}",
                param="prompt" if len(tokens) >= self.context else "max_tokens",
            )
        for name, listed in (("logit_bias", params.logit_bias), ("stop_tokens", params.stop_tokens or ())):
            for token in listed:
                if token >= vocabulary:
                    words = f"{name} has {token}, which is no token; ids from 0 to {vocabulary - 1} are right"
                    raise RequestError(words, param=name)
        if params.logprobs is not None and params.logprobs > vocabulary:
            found = f"logprobs is {params.logprobs}"
            raise RequestError(f"{found}; at most the vocabulary's size, {vocabulary}, is right", param="logprobs")
        return tokens

    def _adapter(self, name: str | None) -> int:
        if name is None:
            return -1
        if name not in self.model.adapters:
            known = ", ".join(map(repr, self.model.adapters)) or "none"
            raise RequestError(f"no adapter is called {name!r}; loaded: {known}", param="adapter")
        return self.model.adapters.index(name)

    def _compiled(self, grammar: Grammar | str | None) -> Grammar | None:
        if not isinstance(grammar, str):
            return grammar
        if self._compile_grammar is None:
            raise RequestError("a grammar was asked for, but this engine was made without a compiler for grammars")
        return self._compile_grammar(grammar)

    def _settle(self, share: Share, choices: Iterator[Choice]) -> None:
        """Take over what a step brought for one request."""
        request = share.request
        if not share.draws:
            self._scheduler.settle(request, share.end)
            return
        known = len(request.tokens)
        kept, finish = _kept(request, [_choice(request, place, choices) for place in range(share.draws)])
        request.extend([choice.token for choice in kept])
        self._generated_tokens += len(kept)
        if finish == "no_token" and request.complete(self._sampler.words):
            finish = "stop"
        # The last token kept is new: it was drawn, not computed. What was computed after it was a wrong guess.
        self._scheduler.settle(request, known + max(0, len(kept) - 1))
        if finish:
            self._end(request, kept, finish)
        else:
            self._undelivered.append(self._output(request, kept, None))
            request.look_ahead()

    def _end(self, request: Request, kept: Sequence[Choice], finish: Finish) -> None:
        self._scheduler.finish(request)
        self._overload.ended()
        del self._requests[request.id]
        self._undelivered.append(self._output(request, kept, finish))
        if self._beginner and request.beginning:
            self._beginner.keep(request.beginning)

    def _output(self, request: Request, kept: Sequence[Choice], finish: Finish | None) -> Output:
        logprobs = [choice.logprob for choice in kept if choice.logprob is not None]
        return Output(
            request_id=request.id,
            tokens=tuple(choice.token for choice in kept),
            logprobs=None if request.params.logprobs is None else tuple(logprobs),
            finish=finish,
            prompt_tokens=request.prompt_tokens,
            cached_tokens=request.cached_tokens or 0,
            generated_tokens=len(request.tokens) - request.prompt_tokens,
            seed=request.seed,
            failure=request.failure if finish == "no_token" else None,
        )


def _whole_numbers(prompt: Sequence[int]) -> list[int]:
    """A list of its own, of Python's integers."""
    try:
        return [index(token) for token in prompt]
    except TypeError as error:
        raise RequestError(f"the prompt is not a sequence of token ids: {error}", param="prompt") from error


def _choice(request: Request, place: int, choices: Iterator[Choice]) -> Choice:
    """What comes at this place: the next of `choices`, or a forced token that no logits were needed for."""
    if request.forced and request.params.logprobs is None and place < len(request.ahead):
        return Choice(request.ahead[place], None)
    return next(choices)


def _kept(request: Request, drawn: Sequence[Choice]) -> tuple[list[Choice], Finish | None]:
    """The tokens that stay: up to the first that ends the request, or that was not the one guessed."""
    kept: list[Choice] = []
    room = request.limit - len(request.tokens)
    for place, choice in enumerate(drawn):
        if choice.token < 0:
            return kept, "no_token"
        kept.append(choice)
        if choice.token in request.stop_tokens:
            return kept, "stop"
        if len(kept) == room:
            return kept, "length"
        if place < len(request.ahead) and choice.token != request.ahead[place]:
            break
    return kept, None


def _any_seed() -> int:
    """Of a request that names none: what `secrets` would give, whose import takes a hundredth of a short start."""
    return int.from_bytes(os.urandom(8), "little") >> (64 - SEED_BITS)

"""Random requests, what each must answer, and an engine that is made to serve them all at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ossia.engine import Engine, EngineConfig, LoadedModel, Logprob, Output, SamplingParams
from ossia.model import hidden, sample
from ossia.ops import Batch, Draw

BOUNDARY = 7
STOP = 11


class Pattern:
    """A grammar for tests: which tokens may stand at each place; complete at its end."""

    failure: str | None = None

    def __init__(self, places: Sequence[Sequence[int]]) -> None:
        self.places = places
        self.at = 0

    def fill_mask(self, mask: np.ndarray) -> None:
        for token in self.places[self.at] if self.at < len(self.places) else ():
            mask.view(np.uint32)[token // 32] |= np.uint32(1 << token % 32)

    def accept(self, token: int) -> bool:
        if self.at >= len(self.places) or token not in self.places[self.at]:
            return False
        self.at += 1
        return True

    def rollback(self, count: int) -> None:
        assert count <= self.at
        self.at -= count

    def forced(self) -> list[int]:
        end = self.at
        while end < len(self.places) and len(self.places[end]) == 1:
            end += 1
        return [place[0] for place in self.places[self.at : end]]


class Oracle:
    """A drafter that knows the answer and lies now and then."""

    def __init__(self, known: Sequence[int], random: np.random.Generator, most: int) -> None:
        self.known = known
        self.random = random
        self.most = most

    def propose(self, tokens: Sequence[int]) -> list[int]:
        guess = list(self.known[len(tokens) : len(tokens) + int(self.random.integers(0, self.most + 1))])
        return [token if self.random.random() < 0.8 else int(self.random.integers(0, 50)) for token in guess]


@dataclass(frozen=True)
class Wish:
    """One request as a caller would make it, with a seed so that it has one answer."""

    prompt: list[int]
    params: SamplingParams
    places: Sequence[Sequence[int]] | None = None
    adapter: str | None = None
    salt: bytes = b""
    priority: int = 0
    drafts: int = 0


@dataclass
class Answer:
    """What came of a request."""

    tokens: list[int] = field(default_factory=list[int])
    logprobs: list[Logprob] = field(default_factory=list[Logprob])
    finish: str | None = None
    cached_tokens: int = 0

    def take(self, output: Output) -> None:
        assert self.finish is None, "something came after the end"
        self.tokens.extend(output.tokens)
        self.logprobs.extend(output.logprobs or ())
        self.finish, self.cached_tokens = output.finish, output.cached_tokens
        assert output.generated_tokens == len(self.tokens)

    def same(self, other: "Answer") -> bool:
        return (self.tokens, self.logprobs, self.finish) == (other.tokens, other.logprobs, other.finish)

    def begins(self, other: "Answer") -> bool:
        beginning = other.tokens[: len(self.tokens)], other.logprobs[: len(self.logprobs)]
        return (self.tokens, self.logprobs) == beginning


def alone(model: LoadedModel, wish: Wish, stop: int = STOP) -> Answer:
    """The answer token by token over whole sequences: no cache, no pages, no batch; the judge of everything here."""
    tokens, answer = list(wish.prompt), Answer()
    grammar = Pattern(wish.places) if wish.places is not None else None
    while answer.finish is None:
        batch = Batch.packed([tokens])
        if wish.adapter is not None:
            batch = replace(batch, adapters=np.full(len(tokens), model.adapters.index(wish.adapter), np.int32))
        last = hidden(model.ops, model.config, model.weights, batch)[-1:]
        drawn = sample(model.ops, model.config, model.weights, last, _draw(model, wish, tokens, grammar))
        token = int(drawn.tokens[0])
        if token < 0:
            answer.finish = "stop" if grammar and grammar.at == len(grammar.places) else "no_token"
            continue
        if drawn.logprobs is not None and drawn.top_tokens is not None and drawn.top_values is not None:
            pairs = zip(drawn.top_tokens[0].tolist(), drawn.top_values[0].tolist(), strict=True)
            answer.logprobs.append(Logprob(float(drawn.logprobs[0]), tuple(pairs)))
        tokens.append(token)
        answer.tokens.append(token)
        if grammar:
            assert grammar.accept(token)
        if token == stop:
            answer.finish = "stop"
        elif len(answer.tokens) == wish.params.max_tokens:
            answer.finish = "length"
    return answer


def _draw(model: LoadedModel, wish: Wish, tokens: Sequence[int], grammar: Pattern | None) -> Draw:
    params, answer = wish.params, list(tokens[len(wish.prompt) :])
    bias = np.zeros(model.config.vocab_size, np.float32)
    for token, value in params.logit_bias.items():
        bias[token] += value
    for token in set(answer):
        bias[token] -= params.presence_penalty + params.frequency_penalty * answer.count(token)
    mask = None
    if grammar:
        mask = np.zeros((1, -(-model.config.vocab_size // 32)), np.int32)
        grammar.fill_mask(mask[0])
    return Draw(
        temperature=np.array([params.temperature], np.float32),
        top_k=np.array([params.top_k], np.int32),
        top_p=np.array([params.top_p], np.float32),
        min_p=np.array([params.min_p], np.float32),
        seed=np.array([params.seed], np.uint64),
        position=np.array([len(tokens)], np.int64),
        bias_starts=np.array([0, len(bias)], np.int32),
        bias_tokens=np.arange(len(bias), dtype=np.int32),
        bias_values=bias,
        mask=mask,
        logprobs=params.logprobs is not None,
        top_logprobs=params.logprobs or 0,
    )


def random_params(random: np.random.Generator, most_tokens: int) -> SamplingParams:
    def often(value: float, otherwise: float) -> float:
        return value if random.random() < 0.3 else otherwise

    return SamplingParams(
        temperature=often(0.0, float(random.uniform(0.2, 2.0))),
        top_p=often(0.8, 1.0),
        top_k=int(often(5, 0)),
        min_p=often(0.05, 0.0),
        seed=int(random.integers(0, 2**63)),
        max_tokens=int(random.integers(1, most_tokens + 1)),
        logprobs=int(random.integers(0, 4)) if random.random() < 0.3 else None,
        logit_bias={int(random.integers(0, 50)): float(random.uniform(-3, 3))} if random.random() < 0.3 else {},
        frequency_penalty=often(0.5, 0.0),
        presence_penalty=often(0.25, 0.0),
    )


def random_wishes(random: np.random.Generator, count: int, context: int, adapters: Sequence[str] = ()) -> list[Wish]:
    """Requests many of which begin like another, parting at a message's end or in the middle of one."""
    wishes: list[Wish] = []
    for _ in range(count):
        most = int(random.integers(1, 12 if random.random() < 0.6 else context - 1))
        fresh = random.integers(0, 50, int(random.integers(1, context - most))).tolist()
        kept: list[int] = []
        if wishes and random.random() < 0.7:
            other = wishes[int(random.integers(len(wishes)))].prompt
            kept = other[: int(random.integers(0, len(other) + 1))]
        prompt = [*kept, *fresh][: context - most]
        prompt[len(kept) : len(kept) + 1] = (
            [BOUNDARY] if random.random() < 0.5 and len(kept) < len(prompt) else (prompt[len(kept) : len(kept) + 1])
        )
        wishes.append(
            Wish(
                prompt,
                random_params(random, most),
                places=_places(random) if random.random() < 0.3 else None,
                adapter=str(random.choice(adapters)) if adapters and random.random() < 0.4 else None,
                salt=b"another" if random.random() < 0.1 else b"",
                priority=int(random.integers(0, 3)),
                drafts=int(random.integers(1, 6)) if random.random() < 0.4 else 0,
            )
        )
    return wishes


def _places(random: np.random.Generator) -> list[list[int]]:
    """A pattern with runs of forced tokens, choices, and perhaps an end within the answer."""
    sizes = random.choice([1, 1, 1, 2, 5, 40], int(random.integers(1, 14)))
    return [random.choice(50, size, replace=False).tolist() for size in sizes]


def serve(
    model: LoadedModel,
    config: EngineConfig,
    wishes: Sequence[Wish],
    expected: Sequence[Answer],
    random: np.random.Generator,
    after_step: Callable[[Engine], None] = Engine.audit,
    cancels: float = 0.0,
) -> tuple[Engine, list[Answer]]:
    """Send the wishes at random moments; returns when all are answered. A cancelled one ends in the middle."""
    engine, answers, number = Engine(model, config), [Answer() for _ in wishes], dict[int, int]()
    while len(number) < len(wishes) or engine.has_work:
        while len(number) < len(wishes) and random.random() < 0.4:
            wish = wishes[len(number)]
            known = [*wish.prompt, *expected[len(number)].tokens]
            request = engine.add(
                wish.prompt,
                wish.params,
                grammar=Pattern(wish.places) if wish.places is not None else None,
                adapter=wish.adapter,
                salt=wish.salt,
                priority=wish.priority,
                drafter=Oracle(known, random, wish.drafts) if wish.drafts else None,
            )
            number[request] = len(number)
        if number and random.random() < cancels:
            engine.cancel(int(random.choice(list(number))))
        for output in engine.step():
            answers[number[output.request_id]].take(output)
        after_step(engine)
    return engine, answers

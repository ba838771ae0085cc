"""One answer to a raw prompt, as it is written."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from ossia.assistant import DrawnToken, Finish, Turn, Usage
from ossia.assistant.stops import StopStrings
from ossia.engine import Output, SamplingParams
from ossia.harmony import Decoder, Vocabulary
from ossia.server.completions.request import Wish
from ossia.server.faults import placing
from ossia.server.models import Served
from ossia.server.remote import Wanted
from ossia.server.scores import LEAST_LOGPROB

__all__ = ["Piece", "Placed", "Written", "written"]


@dataclass(frozen=True, slots=True)
class Placed:
    """A token, what it stands for, and the place in the whole text where that begins."""

    id: int
    text: str
    start: int
    logprob: float | None
    top: dict[str, float] | None


@dataclass(frozen=True, slots=True)
class Piece:
    """Some more of the text, and the tokens that it is made of."""

    text: str
    tokens: tuple[Placed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The end of an answer."""

    finish: Finish
    usage: Usage
    seed: int
    stopped_by: str | None
    first_token_seconds: float | None
    seconds: float
    failure: str | None = None

    @property
    def turn(self) -> Turn:
        """What is counted of it."""
        return Turn((), self.finish, self.usage, (), self.seed, self.stopped_by, self.failure)


@dataclass
class _Text:
    """The text so far."""

    vocabulary: Vocabulary
    stops: StopStrings
    length: int = 0
    pending: list[Placed] = field(default_factory=list)
    stopped_by: str | None = None
    seen: int = 0

    def __post_init__(self) -> None:
        self.decoder = Decoder(self.vocabulary)

    def push(self, token: DrawnToken) -> Iterator[Piece]:
        """What a token adds."""
        self.pending.append(self._placed(token))
        text = self.decoder.push(token.id)
        self.seen += len(text)
        yield from self._pass(text)

    def finish(self) -> Iterator[Piece]:
        """What was held back, when no stop string has come."""
        if self.stopped_by is None:
            yield from self._pass(self.decoder.finish())
        if self.stopped_by is None and ((rest := self.stops.finish()) or self.pending):
            yield self._piece(rest)

    def _pass(self, text: str) -> Iterator[Piece]:
        passed, self.stopped_by = self.stops.push(text)
        if self.stopped_by is not None:
            end = self.length + len(passed)
            self.pending = [token for token in self.pending if token.start < end]
        if passed:
            yield self._piece(passed)

    def _piece(self, text: str) -> Piece:
        self.length += len(text)
        tokens, self.pending = tuple(self.pending), []
        return Piece(text, tokens)

    def _placed(self, token: DrawnToken) -> Placed:
        decode, scored = self.vocabulary.decode, token.logprob
        logprob = None if scored is None else max(scored.logprob, LEAST_LOGPROB)
        top = None if scored is None else {decode([t]): max(value, LEAST_LOGPROB) for t, value in scored.top}
        return Placed(token.id, decode([token.id]), self.seen, logprob, top)


async def written(
    served: Served, prompt: tuple[int, ...], wish: Wish, *, seed: int | None, salt: bytes, most_seconds: float
) -> AsyncGenerator[Piece | Written, None]:
    """The pieces of one answer, the last of them Written. Raises what the engine refuses."""
    with placing(wish.paths):
        own = {"max_tokens": max(wish.max_tokens, 1), "seed": seed}
        params = replace(served.defaults.params, **wish.sampling | own)
        async with aclosing(_written(served, prompt, wish, params, salt, most_seconds)) as pieces:
            async for piece in pieces:
                yield piece


async def _written(
    served: Served, prompt: tuple[int, ...], wish: Wish, params: SamplingParams, salt: bytes, most_seconds: float
) -> AsyncGenerator[Piece | Written, None]:
    begin, first = time.perf_counter(), None
    text = _Text(served.vocabulary, StopStrings(()))
    async for token in _echoed(served, prompt, wish, salt):
        for piece in text.push(token):
            yield piece
    text.stops = StopStrings(wish.stop)
    output, late = None, False
    if wish.max_tokens > 0:
        wanted = Wanted(prompt=prompt, params=params, salt=salt)
        async with aclosing(served.tokens.generate(wanted)) as outputs:
            async for output in outputs:
                first = first or time.perf_counter() - begin
                for token in _drawn(output):
                    for piece in text.push(token):
                        yield piece
                    if text.stopped_by is not None:
                        break
                late = time.perf_counter() - begin > most_seconds
                if text.stopped_by is not None or late:
                    break
    for piece in text.finish():
        yield piece
    yield _end(prompt, output, text, late, first, time.perf_counter() - begin)


async def _echoed(served: Served, prompt: tuple[int, ...], wish: Wish, salt: bytes) -> AsyncIterator[DrawnToken]:
    """The prompt's tokens if they are wanted; scored if that is wanted, but for the first, which nothing precedes."""
    if not wish.echo:
        return
    yield DrawnToken(prompt[0])
    if not wish.scores or len(prompt) == 1:
        for token in prompt[1:]:
            yield DrawnToken(token)
        return
    params = SamplingParams(logprobs=wish.sampling["logprobs"], max_tokens=len(prompt) - 1, stop_tokens=())
    wanted = Wanted(prompt=prompt, params=params, salt=salt, replay=True)
    async with aclosing(served.tokens.generate(wanted)) as outputs:
        async for output in outputs:
            for token in _drawn(output):
                yield token


def _drawn(output: Output) -> Iterator[DrawnToken]:
    logprobs = output.logprobs or [None] * len(output.tokens)
    return (DrawnToken(token, logprob) for token, logprob in zip(output.tokens, logprobs, strict=True))


def _end(
    prompt: tuple[int, ...], output: Output | None, text: _Text, late: bool, first: float | None, seconds: float
) -> Written:
    if output is None:
        finish, usage, seed = "length", Usage(len(prompt)), 0
    else:
        finish = "stop" if text.stopped_by is not None else "time_limit" if late else output.finish or "stop"
        finish = "shutdown" if finish == "cancelled" else finish  # nobody else cancels it
        usage = Usage(output.prompt_tokens, output.cached_tokens, output.generated_tokens)
        seed = output.seed
    return Written(
        finish=finish,
        usage=usage,
        seed=seed,
        stopped_by=text.stopped_by,
        first_token_seconds=first,
        seconds=seconds,
        failure=output.failure if output is not None and finish == "no_token" else None,
    )

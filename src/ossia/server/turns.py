"""Doing what was planned: one turn on its way, as events that every API translates into its own."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import msgspec

from ossia.assistant import Began, CallTool, Drawn, Ended, Finish, Generate, Kind, Proceed, Text, Turn, Want, turn
from ossia.engine import Output
from ossia.grammar.violations import violations
from ossia.harmony import Message
from ossia.server.ask import Tool
from ossia.server.clients import Client
from ossia.server.models import Served
from ossia.server.plan import Plan
from ossia.server.recall import Recall
from ossia.server.remote import Wanted

__all__ = ["Call", "Done", "Opened", "Running", "arguments_of"]


@dataclass(frozen=True, slots=True)
class Call:
    """A call that the client is to answer: its id, and the tool, None for one that was not offered."""

    id: str
    recipient: str
    tool: Tool | None

    @property
    def name(self) -> str:
        """The name without the namespace that all functions of a client share."""
        return self.tool.name if self.tool else self.recipient.removeprefix("functions.") or self.recipient


@dataclass(frozen=True, slots=True)
class Opened:
    """A message began; Text and Ended follow. `call` is set for a call."""

    kind: Kind
    call: Call | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The turn is over. `settings` are those that were in effect, with what the turn added to them."""

    turn: Turn
    calls: tuple[tuple[Call, Message], ...]
    settings: Mapping[str, Any]
    first_token_seconds: float | None
    seconds: float


Event = Opened | Text | Ended | Done


@dataclass
class _Clock:
    begin: float = field(default_factory=time.perf_counter)
    first: float | None = None

    def since(self, then: float | None) -> float | None:
        return None if then is None else then - self.begin


class Running:
    """One turn. `events` gives its events once; `cancel`, from the same event loop, ends it with what there is."""

    def __init__(self, plan: Plan, served: Served, recall: Recall, client: Client, seed: int | None = None) -> None:
        self.plan = plan
        self._served = served
        self._recall = recall
        self._client = client
        self._params = plan.params if seed is None else replace(plan.params, seed=seed)
        self._clock = _Clock()
        self._calls: list[Call] = []
        self._stream: AsyncGenerator[Output, None] | None = None
        self._pending: asyncio.Future[Output] | None = None
        self._why: Finish | None = None
        self._last: Output | None = None

    def cancel(self, why: Finish = "cancelled") -> None:
        """End the turn. Its events go on to their end, which says why."""
        if self._why is None:
            self._why = why
            if self._pending is not None:
                self._pending.cancel()

    async def events(self) -> AsyncGenerator[Event, None]:
        """The events, the last of them Done. Closed early, the turn is cancelled.

        Raises OverloadedError, UnavailableError, and what the engine refuses.
        """
        deadline = self._deadline()
        steps = turn(
            self.plan.conversation,
            self._served.vocabulary,
            self._params,
            rules=self.plan.rules,
            stop=self.plan.ask.stop,
            loop=self.plan.ask.loop,
            faithful=True,
            prompt=self.plan.prompt,
        )
        answer: Output | None = None
        try:
            while True:
                step = steps.send(answer)
                answer = None
                match step:
                    case Began(kind, recipient):
                        yield self._opened(kind, recipient)
                    case Text() | Ended():
                        yield step
                    case Drawn():
                        self._clock.first = self._clock.first or time.perf_counter()
                    case _:
                        answer = await self._answered(step)
        except StopIteration as end:
            yield await self._done(end.value)
        finally:
            if deadline:
                deadline.cancel()
            if self._stream is not None:
                await self._stream.aclose()

    def _deadline(self) -> asyncio.TimerHandle | None:
        seconds = self.plan.ask.seconds
        loop = asyncio.get_running_loop()
        return None if seconds is None else loop.call_later(seconds, self.cancel, "time_limit")

    async def _answered(self, step: Want) -> Output:
        match step:
            case Generate():
                return await self._generate(step)
            case Proceed():
                return await self._next()
            case CallTool(message):
                raise TypeError(f"no tool of ours was offered, and {message.recipient} is called")

    async def _generate(self, step: Generate) -> Output:
        wanted = Wanted(prompt=step.prompt, params=step.params, grammar=step.grammar, salt=self._client.salt)
        self._last = Output(
            request_id=0,
            tokens=(),
            logprobs=None,
            finish=None,
            prompt_tokens=len(step.prompt),
            cached_tokens=0,
            generated_tokens=0,
            seed=step.params.seed or 0,
        )
        self._stream = self._served.tokens.generate(wanted)
        return await self._next()

    async def _next(self) -> Output:
        assert self._stream is not None
        if self._why is None:
            self._pending = asyncio.ensure_future(anext(self._stream))
            try:
                with self.plan.ask.placing():
                    self._last = await self._pending
                return self._last
            except asyncio.CancelledError:
                if self._why is None:  # not the turn, but whoever waits for it
                    raise
            finally:
                self._pending = None
        assert self._last is not None
        return replace(self._last, tokens=(), logprobs=None, finish="cancelled")

    def _opened(self, kind: Kind, recipient: str | None) -> Opened:
        if kind is not Kind.CALL:
            return Opened(kind)
        call = Call(f"call_{secrets.token_hex(12)}", recipient or "", self.plan.tool(recipient))
        self._calls.append(call)
        return Opened(kind, call)

    async def _done(self, ended: Turn) -> Done:
        if ended.finish == "cancelled":
            # An engine cancels of its own accord only when it is about to end.
            ended = replace(ended, finish=self._why or "shutdown")
        calls = tuple(zip(self._calls, ended.calls, strict=True))
        if ended.finish in ("stop", "tool_calls"):
            self._recall.keep(self._client.salt, ended.messages, [call.id for call in self._calls])
        settings = {
            **self.plan.settings,
            "seed": ended.seed,
            "repairs": [asdict(repair) for repair in ended.repairs],
            "violations": await _violations(calls),
            "stopped_by": ended.stopped_by,
            "failure": ended.failure,
            # Without masks a model may speak as somebody else; no API has a place for that.
            "other": [message.to_json() for message in ended.messages if Kind.of(message) is Kind.OTHER],
        }
        now = time.perf_counter()
        return Done(
            turn=ended,
            calls=calls,
            settings=settings,
            first_token_seconds=self._clock.since(self._clock.first),
            seconds=now - self._clock.begin,
        )


def arguments_of(text: str) -> dict[str, Any] | None:
    """The arguments of a call as an object that can be sent on; None where they are none.

    Without masks a model may write what Python reads as JSON and JSON has not: NaN, half a surrogate pair.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (ValueError, RecursionError):
        return None


async def _violations(calls: Sequence[tuple[Call, Message]]) -> list[dict[str, str]]:
    """What the arguments of finished calls break of their schemas: masks may be off, or hold less.

    It is looked for beside the event loop: for a hostile schema it may take half a second.
    """
    found: list[dict[str, str]] = []
    for call, message in calls:
        if call.tool is not None and not call.tool.custom:
            said = await asyncio.to_thread(_broken, call.tool, message.text)
            found += [{"where": call.recipient, "what": what} for what in said]
    return found


def _broken(tool: Tool, arguments: str) -> list[str]:
    try:
        value = msgspec.json.decode(arguments)
    except (ValueError, RecursionError) as error:
        return [f"the arguments are no JSON: {error}"]
    return violations(tool.rule, value)

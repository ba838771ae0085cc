"""A conversation of several turns with a tool, turn by turn as clients send it: whole, without old reasoning.

Each turn of the user is answered in two requests: reasoning and a call of a tool, then with its result reasoning and an
answer. What the model writes is random and cut where the script says; the frame around it is Harmony's, with the
reasoning of finished turns dropped, so that the prompt of the next turn parts from what was computed. Both servers get
token ids, and the history has what each of them wrote itself.
"""

import asyncio
from dataclasses import dataclass, field

import numpy as np

from ossia.harmony import Vocabulary

from .clients import whole
from .servers import Server

__all__ = ["Request", "Script", "converse"]

LIMIT_SECONDS = 300.0

CALLED = "functions.search"


@dataclass(frozen=True)
class Script:
    """How many tokens each part has; `new` is what a user's message or a tool's result brings."""

    turns: int = 3
    system: int = 400
    user: int = 60
    reasoning: int = 120
    call: int = 40
    result: int = 200
    answer: int = 100


@dataclass(frozen=True)
class Request:
    """One request of the conversation: the tokens of its prompt, how many of them were new, how many were computed.

    `needed` are those that no server could have computed before: they stand behind the place where this prompt parts
    from all that was there.
    """

    turn: int
    prompt: int
    needed: int
    computed: int


@dataclass
class _Talk:
    """The history, without reasoning that is over, and the tokens of this turn with it."""

    vocabulary: Vocabulary
    random: np.random.Generator
    script: Script
    finished: list[int] = field(default_factory=list)
    current: list[int] = field(default_factory=list)

    def text(self, count: int) -> list[int]:
        """What somebody else wrote."""
        return self.random.integers(200, 4000, size=count).tolist()

    def message(self, header: str, count: int) -> list[int]:
        v = self.vocabulary
        return [v.start, *v.encode(header), v.message, *self.text(count), v.end]

    def opening(self) -> list[int]:
        v = self.vocabulary
        return [v.start, *v.encode("assistant")]

    def written(self, channel: str, recipient: str, tokens: list[int], end: int) -> list[int]:
        """What the model wrote, as a message of the history."""
        v = self.vocabulary
        header = [v.start, *v.encode("assistant" + (f" to={recipient}" if recipient else ""))]
        return [*header, v.channel, *v.encode(channel), v.message, *tokens, end]


def converse(server: Server, vocabulary: Vocabulary, script: Script, seed: int = 0) -> list[Request]:
    """Hold the conversation; what each request made the server compute of its prompt."""
    talk = _Talk(vocabulary, np.random.default_rng([seed, 7]), script)
    talk.finished = talk.message("system", script.system)
    found: list[Request] = []
    seen: list[list[int]] = []
    for turn in range(script.turns):
        talk.current = []
        talk.finished += talk.message("user", script.user)
        call = _asked(server, talk, seen, found, turn, script.reasoning + script.call)
        _called(talk, call)
        answer = _asked(server, talk, seen, found, turn, script.reasoning + script.answer)
        _answered(talk, call, answer)
    return found


def _asked(
    server: Server, talk: _Talk, seen: list[list[int]], found: list[Request], turn: int, tokens: int
) -> list[int]:
    prompt = [*talk.finished, *talk.current, *talk.opening()]
    call = server.call(prompt, tokens, seed=len(found), stream=False)
    written, computed = server.read(asyncio.run(whole(server.address, call, LIMIT_SECONDS)))
    common = max((_common(prompt, other) for other in seen), default=0)
    found.append(Request(turn, len(prompt), len(prompt) - common, computed))
    # The last token drawn was never computed.
    seen.append([*prompt, *written[:-1]])
    return written


def _called(talk: _Talk, written: list[int]) -> None:
    """Within the turn all that the model wrote stays as it was, with the result behind it."""
    v = talk.vocabulary
    result = talk.message(f"{CALLED} to=assistant", talk.script.result)
    talk.current = [*talk.opening(), *written, v.call, *result]


def _answered(talk: _Talk, call: list[int], answer: list[int]) -> None:
    """The turn is over: its reasoning is dropped."""
    v, script = talk.vocabulary, talk.script
    result = talk.current[-len(talk.message(f"{CALLED} to=assistant", 0)) - script.result :]
    talk.finished += talk.written("commentary", CALLED, call[script.reasoning :], v.call)
    talk.finished += result
    talk.finished += talk.written("final", "", answer[script.reasoning :], v.end)


def _common(one: list[int], other: list[int]) -> int:
    """How many tokens two sequences begin with together."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))

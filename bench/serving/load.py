"""Many clients at once: the servers take turns, round by round, and what comes of it."""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from report import spread

from .clients import at_once
from .servers import Server

__all__ = ["FIGURES", "Work", "ahead", "compared", "figures_of", "one_round", "summary"]

FIGURES = ("tokens_per_second", "first_token_ms", "token_ms", "processor_ms")
"""All clients' tokens by the time until the last came; medians over clients of the time to the first token, and of the
time of each that follows; and what all processes of the server computed for a token, its part of the prompts with it,
which other work on the machine changes least."""

LIMIT_SECONDS = 600.0


@dataclass(frozen=True)
class Work:
    """What every client asks for: random prompts, so that none has anything in common with another."""

    prompt: int
    generate: int
    vocabulary: int

    def prompts(self, clients: int, number: int) -> list[list[int]]:
        """Those of one round; both servers get the same, and no other round has them."""
        random = np.random.default_rng([clients, number])
        return random.integers(self.vocabulary, size=(clients, self.prompt)).tolist()


def one_round(server: Server, work: Work, clients: int, number: int) -> dict[str, float]:
    """The figures of one round, and the seconds that the server computed for a token."""
    prompts = work.prompts(clients, number)
    calls = [server.call(prompt, work.generate, seed=number * 1000 + index) for index, prompt in enumerate(prompts)]
    before = server.processor_seconds()
    answers = asyncio.run(at_once(server.address, calls, LIMIT_SECONDS))
    after = server.processor_seconds()
    figures = figures_of([server.arrivals(answer) for answer in answers], work.generate)
    spent = {f"{name}_us": (after[name] - before[name]) / (clients * work.generate) * 1e6 for name in after}
    return figures | spent | {"processor_ms": sum(spent.values()) / 1e3}


def figures_of(arrivals: Sequence[Sequence[tuple[float, int]]], generate: int) -> dict[str, float]:
    """The figures of a round, from when each client's tokens came. Raises RuntimeError where tokens are missing."""
    firsts, each, last, total = [], [], 0.0, 0
    for own in arrivals:
        own = [(when, count) for when, count in own if count]
        came = sum(count for _, count in own)
        if came < generate:
            raise RuntimeError(f"{came} tokens came where {generate} were asked for")
        firsts.append(own[0][0])
        each.append((own[-1][0] - own[0][0]) / max(came - own[0][1], 1))
        last, total = max(last, own[-1][0]), total + came
    return {
        "tokens_per_second": total / last,
        "first_token_ms": statistics.median(firsts) * 1e3,
        "token_ms": statistics.median(each) * 1e3,
    }


def compared(servers: Sequence[Server], work: Work, clients: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Some rounds of each server, in turns, after a short one that does not count. Who begins changes each round."""
    for server in servers:
        one_round(server, replace(work, generate=2), clients, 0)
    found: dict[str, list[dict[str, float]]] = {server.name: [] for server in servers}
    for number in range(1, rounds + 1):
        for server in servers if number % 2 else reversed(servers):
            found[server.name].append(one_round(server, work, clients, number))
    return found


def summary(rounds: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Medians with the least and the most."""
    return {name: spread([each[name] for each in rounds]) for name in rounds[0]}


def ahead(ours: Sequence[dict[str, float]], theirs: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """By how much ours is ahead, above 1, in each figure: the median of the rounds' ratios, with the least and most.

    Ratios are taken within a round, whose two halves ran in the same minute.
    """
    found: dict[str, dict[str, float]] = {}
    for name in FIGURES:
        ratios = [own[name] / other[name] for own, other in zip(ours, theirs, strict=True)]
        if name != "tokens_per_second":
            ratios = [1 / ratio for ratio in ratios]
        found[name] = spread(ratios)
    return found

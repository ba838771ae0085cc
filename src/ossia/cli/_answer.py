"""One prompt answered, on the screen or as one JSON object."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ossia.assistant import Drawn, Event, Turn
from ossia.cli._printer import Printer
from ossia.cli._session import Session
from ossia.cli._signals import INTERRUPTED

__all__ = ["Clock", "answer", "remarks", "report"]

FAILED = 1
"""Exit status when the model could not go on."""

NO_TOKEN = (
    "[no token could be drawn: the logits are not numbers, or everything is forbidden; "
    "`ossia check MODEL` looks at the weights]"
)


class Clock:
    """When a turn's tokens came."""

    def __init__(self) -> None:
        self.begin = time.perf_counter()
        self.first: float | None = None
        self.first_of_process: float | None = None
        self.last = self.begin
        self.tokens = 0

    def noting(self, show: Callable[[Event], None]) -> Callable[[Event], None]:
        """A `show` that takes each event's time first."""

        def timed(event: Event) -> None:
            if isinstance(event, Drawn):
                self._note(len(event.tokens))
            show(event)

        return timed

    def _note(self, tokens: int) -> None:
        self.last = time.perf_counter()
        if self.first is None:
            self.first, self.first_of_process = self.last, process_seconds()
        self.tokens += tokens

    def timings(self) -> dict[str, float | None]:
        """Seconds, and tokens per second; None for what did not happen."""
        first = None if self.first is None else self.first - self.begin
        decoding = self.last - (self.first or self.last)
        return {
            "first_token_seconds": first,
            "first_token_after_start_seconds": self.first_of_process,
            "total_seconds": self.last - self.begin,
            "decode_tokens_per_second": (self.tokens - 1) / decoding if decoding > 0 else None,
        }


def process_seconds() -> float | None:
    """How long ago this process was started, to a hundredth of a second. None where the system does not say."""
    try:
        started = int(Path("/proc/self/stat").read_text("utf-8").rpartition(")")[2].split()[19])
        return float(Path("/proc/uptime").read_text("ascii").split()[0]) - started / os.sysconf("SC_CLK_TCK")
    except OSError:
        return None


def answer(model: str, text: str, options: argparse.Namespace) -> int:
    """Load the model, answer `text`, print what the options ask for. The exit status tells an interruption."""
    imports = process_seconds()
    session, clock = Session.open(model, options), Clock()
    printer = Printer(
        sys.stdout, sys.stderr, quiet=options.quiet, raw=session.model.vocabulary if options.raw else None
    )

    if options.json:
        turn = session.ask(text, clock.noting(_ignore))
        print(json.dumps(report(session, turn, clock, imports)))  # all but ASCII escaped: any terminal may show it
    else:
        printer.wait()
        turn = session.ask(text, clock.noting(printer.show), reading=printer.reading)
        printer.finish()
        for line in remarks(turn):
            printer.remark(line)
        if options.verbose:
            printer.remark(f"{details(session, turn, clock)}\n{start_in_words(start_of(session, clock, imports))}")
    return {"cancelled": INTERRUPTED, "no_token": FAILED}.get(turn.finish, 0)


def _ignore(event: Event) -> None:
    """For events that nobody is shown."""


def start_of(session: Session, clock: Clock, imports: float | None) -> dict[str, float | None]:
    """Seconds of each part of the start, up to the first token.

    What ends in `_meanwhile` ran beside the others.
    """
    return {"imports": imports, **session.model.start, "prompt": clock.timings()["first_token_seconds"]}


def start_in_words(parts: dict[str, float | None]) -> str:
    """The parts of a start, for a person."""
    shown = (f"{name.replace('_', ' ')} {value:.2f} s" for name, value in parts.items() if value is not None)
    return f"[start: {', '.join(shown)}]"


def report(session: Session, turn: Turn, clock: Clock, imports: float | None = None) -> dict[str, Any]:
    """The turn as one object. `imports` is how old the process was when it began to load the model."""
    return {
        "answer": turn.answer,
        "reasoning": turn.reasoning,
        "messages": [message.to_json() for message in turn.messages],
        "finish_reason": turn.finish,
        "repairs": [asdict(repair) for repair in turn.repairs],
        "usage": {
            "prompt_tokens": turn.usage.prompt_tokens,
            "cached_tokens": turn.usage.cached_tokens,
            "completion_tokens": turn.usage.generated_tokens,
            "reasoning_tokens": turn.usage.reasoning_tokens,
            "total_tokens": turn.usage.prompt_tokens + turn.usage.generated_tokens,
        },
        "timings": {**clock.timings(), "start_seconds": start_of(session, clock, imports)},
        "settings": session.settings() | {"seed": turn.seed},
    }


def remarks(turn: Turn) -> list[str]:
    """What a person should know about a turn that did not simply end with an answer."""
    found = []
    if turn.finish == "length":
        found.append(f"[out of tokens after {turn.usage.generated_tokens}; --max-tokens and --context give more]")
    elif turn.finish == "cancelled":
        found.append("[stopped]")
    elif turn.finish == "no_token":
        found.append(NO_TOKEN)
    elif turn.finish == "tool_calls":
        found.append("[the model called a tool, but none is offered here: nothing was run]")
    elif not turn.answer:
        found.append("[the model ended without an answer]")
    if turn.repairs:
        found.append(f"[repaired what the model wrote: {', '.join(sorted({repair.kind for repair in turn.repairs}))}]")
    return found


def details(session: Session, turn: Turn, clock: Clock) -> str:
    """Settings, usage and speed in words."""
    shown = session.settings() | {"context": session.context}
    settings = ", ".join(f"{key} {value}" for key, value in shown.items() if value is not None)
    times = clock.timings()
    speed = times["decode_tokens_per_second"]
    usage = turn.usage
    if session.params.seed is None:
        settings += f", seed {turn.seed}"
    tokens = (
        f"prompt {usage.prompt_tokens} tokens, {usage.cached_tokens} of them cached; "
        f"answer {usage.generated_tokens}, {usage.reasoning_tokens} of them reasoning"
    )
    pace = f"first token after {times['first_token_seconds'] or 0:.2f} s, then {speed or 0:.1f} tokens/s"
    return f"[{settings}]\n[{tokens}]\n[{pace}]"

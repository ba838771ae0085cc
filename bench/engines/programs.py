"""The engines: ours through `ossia bench`, llama.cpp and ik_llama.cpp through the bench programs that they bring."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .works import Work

__all__ = ["LimitError", "Llama", "Ours"]

LIMIT_SECONDS = 1800.0


class LimitError(RuntimeError):
    """A program failed, or said nothing that could be read."""


@dataclass
class Ours:
    """Ossia in one precision; `reports` keeps all that `ossia bench` said."""

    model: Path
    precision: str
    threads: int
    reports: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As the page names it."""
        return f"ossia {self.precision}"

    def speed(self, work: Work) -> float:
        """As defined."""
        numbers = {"prompt": work.prompt, "generate": work.generate, "batch": work.batch, "depth": work.depth}
        options = [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
        options += ["--precision", self.precision, "--threads", str(self.threads), "--repeats", "1", "--json"]
        report = json.loads(_said([sys.executable, "-m", "ossia", "bench", str(self.model), *options]))
        self.reports.append(report)
        return report["prefill_tokens_per_second" if work.prefill else "decode_tokens_per_second"]


@dataclass(frozen=True)
class Llama:
    """llama.cpp or its fork: a folder with `llama-bench` and `llama-batched-bench`, and its fastest options."""

    name: str
    folder: Path
    model: Path
    threads: int
    options: Sequence[str] = ()

    def speed(self, work: Work) -> float | None:
        """As defined."""
        if work.batch > 1:
            return None if work.depth else self._together(work)
        shape = ["-p", str(work.prompt), "-n", "0"] if work.prefill else ["-p", "0", "-n", str(work.generate)]
        shape += ["-d", str(work.depth)] if work.depth else []
        return last_number(self._said("llama-bench", [*shape, "-r", "1", "-o", "json"]), "avg_ts")

    def _together(self, work: Work) -> float:
        context = 2 * work.batch * (work.prompt + work.generate)
        shape = ["-npp", str(work.prompt), "-ntg", str(work.generate), "-npl", str(work.batch), "-c", str(context)]
        return last_number(self._said("llama-batched-bench", [*shape, "--output-format", "jsonl"]), "speed_tg")

    def _said(self, program: str, shape: Sequence[str]) -> str:
        command = [str(self.folder / program), "-m", str(self.model), "-t", str(self.threads), *self.options, *shape]
        return _said(command)


def last_number(text: str, name: str) -> float:
    """The last value of that name in what a bench printed: JSON, or lines of JSON among others."""
    found = [value for value in _values(text) if name in value]
    if not found:
        raise LimitError(f"no {name} in {text[-300:]!r}")
    return float(found[-1][name])


def _values(text: str) -> list[dict[str, Any]]:
    try:
        whole = json.loads(text)
        return whole if isinstance(whole, list) else [whole]
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _said(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS)
    if done.returncode:
        raise LimitError(f"{command[0]} ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout

"""The engines: ours through `ossia bench`, llama.cpp and ik_llama.cpp through the batched bench that both bring."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .works import Work

__all__ = ["PROGRAM", "LimitError", "Llama", "Ours"]

LIMIT_SECONDS = 1800.0
PROGRAM = "llama-batched-bench"


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
    """llama.cpp or its fork: a folder with `llama-batched-bench`, and the options that make it fastest.

    That program says how fast prompts were read and answers written after them, in a table. It measures each length of
    prompt that it is given: the first, without the depth, is the warm-up.
    """

    name: str
    folder: Path
    model: Path
    threads: int
    options: Sequence[str] = ()

    def speed(self, work: Work) -> float:
        """As defined."""
        prompts = (work.prompt, work.depth + work.prompt)
        numbers = {
            "t": self.threads,
            "npp": ",".join(map(str, prompts)),
            "ntg": work.generate,
            "npl": work.batch,
            "c": context(prompts[-1] + work.generate) * work.batch,
        }
        words = [word for name, number in numbers.items() for word in (f"-{name}", str(number))]
        command = [str(self.folder / PROGRAM), "-m", str(self.model), *words, *self.options]
        return last_number(_said(command, self.folder), "S_PP t/s" if work.prefill else "S_TG t/s")


def context(tokens: int) -> int:
    """Tokens of one request, rounded up as llama.cpp does."""
    return -(-tokens // 256) * 256


def last_number(text: str, column: str) -> float:
    """What the last row of a table says in a column; other lines may stand before, between and after."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    head = next((row for row in rows if column in row), [])
    numbers = [row[head.index(column)] for row in rows if len(row) == len(head) and row != head and "-" not in row[0]]
    if not numbers:
        raise LimitError(f"no {column} in {text[-300:]!r}")
    return float(numbers[-1])


def _said(command: Sequence[str], folder: Path | None = None) -> str:
    """What a program printed; it runs in `folder`, since ik_llama.cpp leaves a log where it stands."""
    done = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if folder else subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
        timeout=LIMIT_SECONDS,
    )
    if done.returncode:
        raise LimitError(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-500:]}")
    return done.stdout

"""The engines: ours, and llama.cpp and ik_llama.cpp through the batched bench that both bring.

Each is a program that loads a model once and measures a work some times, saying a line when a measurement ends.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .quiet import Watch
from .works import Turn, Work

__all__ = ["PROGRAM", "LimitError", "Llama", "Ours"]

PROGRAM = "llama-batched-bench"
BENCH = Path(__file__).parents[1]


class LimitError(RuntimeError):
    """A program failed, or said nothing that could be read."""


@dataclass
class Ours:
    """Ossia in one precision; `reports` keeps all that each run said at its end."""

    model: Path
    precision: str
    threads: int
    reports: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As the page names it."""
        return f"ossia {self.precision}"

    def turns(self, work: Work, repeats: int) -> list[Turn]:
        """As defined."""
        read_through(sorted(self.model.glob("*.safetensors")))
        numbers = {"prompt": work.prompt, "generate": work.generate, "batch": work.batch, "depth": work.depth}
        words = [str(self.model), self.precision, str(self.threads), str(repeats), json.dumps(numbers)]
        lines = list(_lines([sys.executable, "-m", "engines.timed", *words], BENCH, self.threads))
        said = [(json.loads(line), waited) for line, waited in lines if line.startswith("{")]
        self.reports.append(said[-1][0])
        name = "prefill_tokens_per_second" if work.prefill else "decode_tokens_per_second"
        return [Turn(each[name], waited) for each, waited in said[1:-1]]


@dataclass(frozen=True)
class Llama:
    """llama.cpp or its fork: a folder with `llama-batched-bench`, and the options that make it fastest.

    That program measures each length of prompt that it is given, and says in a row of a table how fast the prompts were
    read and the answers written after them. The first length, without the depth, is the warm-up.
    """

    name: str
    folder: Path
    model: Path
    threads: int
    options: Sequence[str] = ()

    def turns(self, work: Work, repeats: int) -> list[Turn]:
        """As defined."""
        read_through([self.model])
        prompts = [work.prompt, *[work.depth + work.prompt] * repeats]
        numbers = {
            "t": self.threads,
            "npp": ",".join(map(str, prompts)),
            "ntg": work.generate,
            "npl": work.batch,
            "c": context(prompts[-1] + work.generate) * work.batch,
        }
        words = [word for name, number in numbers.items() for word in (f"-{name}", str(number))]
        command = [str(self.folder / PROGRAM), "-m", str(self.model), *words, *self.options]
        # It runs in its folder, since ik_llama.cpp leaves a log where it stands.
        found = rows(_lines(command, self.folder, self.threads), "S_PP t/s" if work.prefill else "S_TG t/s")
        if len(found) != len(prompts):
            raise LimitError(f"{command[0]} measured {len(found)} times instead of {len(prompts)}: {command[1:]}")
        return found[1:]


def read_through(files: Sequence[Path]) -> None:
    """Leave files in memory, from where the engine before may have driven them: all engines' files may not fit it.

    A warm-up does not do that, since its tokens choose few of the experts.
    """
    for file in files:
        with file.open("rb", buffering=0) as stream:
            while stream.read(1 << 24):
                pass


def context(tokens: int) -> int:
    """Tokens of one request, rounded up as llama.cpp does."""
    return -(-tokens // 256) * 256


def rows(lines: Iterator[tuple[str, float]], column: str) -> list[Turn]:
    """What each row of a table says in a column; other lines may stand before, between and after."""
    head: list[str] = []
    found: list[Turn] = []
    for line, waited in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if column in cells:
            head = cells
        elif line.startswith("|") and len(cells) == len(head) and cells[0].isdecimal():
            found.append(Turn(float(cells[head.index(column)]), waited))
    return found


def _lines(command: Sequence[str], folder: Path, threads: int) -> Iterator[tuple[str, float]]:
    """What a program says, line by line, with the share of the time since the figures before that it had to wait.

    Raises LimitError when it fails.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    last: list[str] = []
    with subprocess.Popen(command, cwd=folder, env=os.environ | {"PYTHONUNBUFFERED": "1"}, **pipes) as program:
        watch = Watch(program.pid, threads)
        for line in program.stdout or ():
            yield line, watch.waited() if line[:1] in "{|" else 0.0
            last = [*last[-5:], line]
    if program.returncode:
        raise LimitError(f"{command[0]} ended with {program.returncode}: {''.join(last)}")

"""The two servers, started and ended alike, spoken to alike: `Ours` and `Rival`."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, Self

from .clients import Address, Answer, Call

__all__ = ["Ours", "Rival", "Server", "Tokens"]

STARTING_SECONDS = 300.0

SAMPLING = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0}
"""The model card's. Greedy, a random model repeats itself, and uses few of its experts."""

Tokens = list[int]


class Server(Protocol):
    """A server that runs, and how it is asked to go on from token ids."""

    name: str
    address: Address

    def call(self, prompt: Tokens, tokens: int, seed: int, stream: bool = True) -> Call:
        """A request for so many tokens, whatever ends an answer otherwise."""
        ...

    def arrivals(self, answer: Answer) -> list[tuple[float, int]]:
        """When how many tokens of a stream came."""
        ...

    def read(self, answer: dict[str, Any]) -> tuple[Tokens, int]:
        """Of an answer that came whole: its tokens, and how many of the prompt's were computed for it."""
        ...

    def processor_seconds(self) -> dict[str, float]:
        """What each of its processes has computed so far."""
        ...


class _Process:
    """A server's process, with those that it starts."""

    def __init__(self, name: str, words: Sequence[str], address: Address, log: Path) -> None:
        self.name, self.address, self._log = name, address, log
        with log.open("wb") as output:
            self._process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            self._await_readiness()
        except BaseException:
            self.close()
            raise

    def processor_seconds(self) -> dict[str, float]:
        """Seconds of computing by process: `server`, and `engine` where that is a process of its own."""
        pids = [self._process.pid, *_children(self._process.pid)]
        names = ["server", "engine", *(f"other {number}" for number in range(len(pids)))]
        return dict(zip(names, map(_processor_seconds, pids), strict=False))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _await_readiness(self) -> None:
        deadline = time.monotonic() + STARTING_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} has ended: {self._log.read_text('utf-8', 'replace')[-2000:]}")
            with suppress(OSError), urllib.request.urlopen(f"http://{self.address[0]}:{self.address[1]}{self.ready}"):
                return
            time.sleep(0.1)
        raise RuntimeError(f"{self.name} is not ready after {STARTING_SECONDS:.0f} s; see {self._log}")

    ready = "/health"


class Ours(_Process):
    """`ossia serve`."""

    ready = "/ready"

    def __init__(self, weights: str, threads: int, precision: str, context: int, log: Path) -> None:
        address = "127.0.0.1", _free_port()
        words = [sys.executable, "-m", "ossia", "serve", weights, "--port", str(address[1]), "--quiet"]
        words += ["--name", "random", "--threads", str(threads), "--precision", precision, "--context", str(context)]
        super().__init__("ossia", [*words, "--no-store"], address, log)

    def call(self, prompt: Tokens, tokens: int, seed: int, stream: bool = True) -> Call:
        body = {"model": "random", "prompt": prompt, "max_tokens": tokens, "ignore_eos": True, "seed": seed}
        return Call("/v1/completions", body | SAMPLING | {"stream": stream})

    def arrivals(self, answer: Answer) -> list[tuple[float, int]]:
        return [(when, len(choice["token_ids"])) for when, event in answer.events for choice in event["choices"]]

    def read(self, answer: dict[str, Any]) -> tuple[Tokens, int]:
        usage = answer["usage"]
        computed = usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]
        return answer["choices"][0]["token_ids"], computed


class Rival(_Process):
    """llama.cpp's `llama-server`."""

    def __init__(
        self, program: Path, weights: Path, threads: int, slots: int, context: int, log: Path, name: str
    ) -> None:
        address = "127.0.0.1", _free_port()
        words = [str(program), "-m", str(weights), "--host", address[0], "--port", str(address[1])]
        words += ["-t", str(threads), "-tb", str(threads), "-np", str(slots), "-c", str(slots * context)]
        super().__init__(name, [*words, "--no-webui"], address, log)

    def call(self, prompt: Tokens, tokens: int, seed: int, stream: bool = True) -> Call:
        body = {"prompt": prompt, "n_predict": tokens, "ignore_eos": True, "seed": seed, "return_tokens": True}
        return Call("/completion", body | SAMPLING | {"stream": stream, "samplers": ["temperature"]})

    def arrivals(self, answer: Answer) -> list[tuple[float, int]]:
        """The last event counts all; a token that leaves a character unfinished has none of its own."""
        *parts, (end, last) = answer.events
        found = [(when, len(event["tokens"])) for when, event in parts]
        return [*found, (end, last["tokens_predicted"] - sum(count for _, count in found))]

    def read(self, answer: dict[str, Any]) -> tuple[Tokens, int]:
        return answer["tokens"], answer["timings"]["prompt_n"]


def _free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            found += map(int, (task / "children").read_text("ascii").split())
    return found


def _processor_seconds(pid: int) -> float:
    """What the threads of a process have computed. Source: Linux, Documentation/scheduler/sched-stats.rst."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            total += int((task / "schedstat").read_text("ascii").split()[0])
    return total / 1e9

"""What a server costs beside its engine: the same requests in the bare engine, and through HTTP.

Both are taken in time of computing, which other work on the machine changes little, and on the wall clock. An engine on
more than one thread also counts its threads' waiting for each other, so both run on one.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ossia.engine import Engine, SamplingParams
from ossia.loading import defaults_of, engine_config, load_weights, vocabulary_of

from .load import Work, one_round
from .servers import SAMPLING, Ours
from .weights import CONFIGS

__all__ = ["bare", "compared_with_bare", "token_seconds_20b"]


def bare(model: str, precision: str, context: int, work: Work, clients: int, rounds: int) -> list[dict[str, float]]:
    """Rounds of the engine alone, in this process: processor and wall time of a token, in microseconds."""
    loaded = load_weights(model, precision=precision, threads=1)
    vocabulary = vocabulary_of(loaded.checkpoint)
    config = engine_config(loaded, vocabulary, defaults_of(loaded.checkpoint), context, max_requests=max(clients, 16))
    engine = Engine(loaded.model, config)
    found = [_bare_round(engine, work, clients, number) for number in range(rounds + 1)]
    return found[1:]


def _bare_round(engine: Engine, work: Work, clients: int, number: int) -> dict[str, float]:
    for index, prompt in enumerate(work.prompts(clients, number)):
        params = SamplingParams(**SAMPLING, seed=number * 1000 + index, max_tokens=work.generate, stop_tokens=())
        engine.add(prompt, params)
    processor, wall, tokens = time.process_time(), time.perf_counter(), 0
    while engine.has_work:
        tokens += sum(len(output.tokens) for output in engine.step())
    return {
        "processor_us": (time.process_time() - processor) / tokens * 1e6,
        "wall_us": (time.perf_counter() - wall) / tokens * 1e6,
    }


def compared_with_bare(
    model: str, precision: str, context: int, work: Work, clients: Sequence[int], rounds: int, log: Path
) -> list[dict[str, float]]:
    """For each number of clients: microseconds of a token, through the server and without it, and the difference."""
    found: list[dict[str, float]] = []
    server = Ours(model, 1, precision, context, log)
    try:
        for number in clients:
            alone = _elsewhere(model, precision, context, work, number, rounds)
            served = [_served(server, work, number, each) for each in range(rounds + 1)][1:]
            found.append({"clients": number} | _beside(alone, served))
    finally:
        server.close()
    return found


def _served(server: Ours, work: Work, clients: int, number: int) -> dict[str, float]:
    figures = one_round(server, work, clients, number)
    return {
        "processor_us": figures["processor_ms"] * 1e3,
        "wall_us": 1e6 / figures["tokens_per_second"],
    }


def _beside(alone: Sequence[dict[str, float]], served: Sequence[dict[str, float]]) -> dict[str, float]:
    """The least of each: what is measured in time of computing is disturbed only upwards."""
    found: dict[str, float] = {}
    for name in ("processor_us", "wall_us"):
        without, through = (min(each[name] for each in rounds) for rounds in (alone, served))
        found |= {f"engine_{name}": without, f"server_{name}": through, f"overhead_{name}": through - without}
    return found


def _elsewhere(
    model: str, precision: str, context: int, work: Work, clients: int, rounds: int
) -> list[dict[str, float]]:
    """`bare` in a process of its own."""
    given = [model, precision, context, [work.prompt, work.generate, work.vocabulary], clients, rounds]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parents[1] / "serve.py"), "--bare", json.dumps(given)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def token_seconds_20b(results: Path, clients: int) -> tuple[float, str]:
    """How long 20b takes for a token with so many requests at once, at the least, and where that is from.

    For one, as the newest result of bench/decode.py has it; for more, by what a step must read at that result's
    bandwidth: all but the experts once, and of the experts those that are chosen if tokens choose independently.
    """
    files = sorted(results.glob("*-decode.json"))
    runs = [(file.name, run) for file in files for run in json.loads(file.read_text("utf-8"))["runs"]]
    name, run = next((name, run) for name, run in reversed(runs) if run["precision"] == "fast" and run["batch"] == 1)
    if clients == 1:
        return 1 / run["decode_tokens_per_second"], name
    config = json.loads((CONFIGS / "20b.json").read_text("utf-8"))
    share, experts = config["num_experts_per_tok"] / config["num_local_experts"], _expert_bytes(config)
    dense = run["decode_bytes_per_step"] - share * experts
    read = dense + (1 - (1 - share) ** clients) * experts
    return read / run["read_bandwidth_bytes_per_second"] / clients, name


def _expert_bytes(config: dict[str, int]) -> float:
    """Of all experts in all layers, in MXFP4: three matrices of 17 bytes for 32 values."""
    matrices = 3 * config["hidden_size"] * config["intermediate_size"] * 17 / 32
    return config["num_hidden_layers"] * config["num_local_experts"] * matrices

"""How fast a model runs on this machine: prompts and answers timed through the engine, as a user meets them."""

import bisect
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ossia.cli._bounds import (
    anonymous_bytes,
    decode_bytes,
    peak_rss_bytes,
    processors,
    read_bandwidth,
    weights_bandwidth,
)
from ossia.cli._display import Progress
from ossia.cli._filling import FilledEngine
from ossia.engine import Engine, EngineConfig, SamplingParams
from ossia.engine.memory import needed_bytes
from ossia.errors import BackendError
from ossia.loading import Loaded, available_bytes, check_cache

__all__ = ["Load", "Repeat", "Speed", "measure"]


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is timed: `batch` requests at once, each a prompt and an answer after `depth` tokens already there.

    Those have random keys and values, which take as long to look through as any.
    """

    prompt: int = 512
    generate: int = 64
    batch: int = 1
    depth: int = 0

    @property
    def context(self) -> int:
        """Tokens of one request at its end."""
        return self.depth + self.prompt + self.generate + 1


@dataclass(frozen=True)
class Repeat:
    """One measurement, in tokens per second of all requests together."""

    prefill_tokens_per_second: float
    decode_tokens_per_second: float


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Every repeat, and what the machine allows.

    `isa` is the native library's instruction set, which the processor's name may not tell; None for other backends.
    `decode_bound_fraction` is the median decoding speed over the speed at which a step's bytes could be read: the
    weights it uses at their stored width, and the keys and values half way through the answer. The bandwidth is that
    of fresh memory; `weights_bandwidth_bytes_per_second` is what the experts give where they lie, evenly from all
    layers, as a step reads them: far less where the system put the file's pages into slower memory.
    `decode_weights_fraction` is the share of that.
    """

    isa: str | None
    repeats: tuple[Repeat, ...]
    prefill_tokens_per_second: float
    decode_tokens_per_second: float
    decode_bytes_per_step: float
    read_bandwidth_bytes_per_second: float
    decode_bound_fraction: float
    weights_bandwidth_bytes_per_second: float
    decode_weights_fraction: float
    peak_rss_bytes: int
    peak_anonymous_bytes: int | None


def measure(loaded: Loaded, load: Load, *, repeats: int) -> Speed:
    """Time `load`, after one unmeasured run that brings the weights into memory.

    Raises ContextLengthError or ConfigError when the model's context is too short for it, CapacityError when the memory
    is.
    """
    check_cache(loaded, engine_config(load), _fitting(loaded, load))
    engine = FilledEngine(loaded.model, engine_config(load))
    random = np.random.default_rng(0)
    depths = fill(engine, load, random)
    runs, anonymous = [], 0
    with Progress("timing") as progress:
        for number in range(repeats + 1):
            progress.show(number, repeats + 1)
            runs.append(time_once(engine, load, random, depths))
            anonymous = max(anonymous, anonymous_bytes() or 0)
    peak = peak_rss_bytes()  # before the bandwidth's own buffer
    return summarise(runs[1:], loaded, load, peak, anonymous or None)


def engine_config(load: Load) -> EngineConfig:
    """An engine that holds all requests, and keeps their prompts from the first timing to the second.

    What was there before the prompts stays from repeat to repeat.
    """
    page = EngineConfig.page_size
    own = load.context - load.depth
    return EngineConfig(
        context=load.context,
        max_requests=load.batch,
        max_step_tokens=max(EngineConfig.max_step_tokens, load.batch),
        full_pages=load.batch * (load.depth // page + 2 * (own // page + 2)),
        snapshots=4 * load.batch,
    )


def _fitting(loaded: Loaded, load: Load) -> str:
    """How many requests of this length the memory has room for, in words."""
    free = available_bytes() or 0

    def needed(batch: int) -> int:
        config = engine_config(replace(load, batch=batch))
        return sum(needed_bytes(config, loaded.config, loaded.ops.stored_dtype).values())

    most = bisect.bisect_right(range(1, load.batch), free, key=needed)
    return f"a batch of at most {most} is right" if most else "fewer tokens (--prompt, --generate, --depth) are right"


def fill(engine: FilledEngine, load: Load, random: np.random.Generator) -> list[list[int]]:
    """What is there before the prompts, of each request: as if it had been read, and kept by the engine."""
    vocabulary = engine.model.config.vocab_size
    depths = [random.integers(vocabulary, size=load.depth).tolist() for _ in range(load.batch)]
    if load.depth:
        with engine.filling():
            _run(engine, depths, 1)
    return depths


def time_once(engine: Engine, load: Load, random: np.random.Generator, depths: Sequence[Sequence[int]]) -> Repeat:
    """One repeat, on prompts of its own, so that nothing of an earlier one is found again but `depths` before them.

    The prompts alone come first. They are then brought again, found in the cache, and go on: so that all requests
    decode together from their first token to their last.
    """
    vocabulary = engine.model.config.vocab_size
    prompts = [[*depth, *random.integers(vocabulary, size=load.prompt).tolist()] for depth in depths]
    prefill = _run(engine, prompts, 1)
    decode = _run(engine, prompts, load.generate + 1)
    return Repeat(prefill.prompt_tokens / prefill.first_seconds, decode.later_tokens / decode.later_seconds)


@dataclass
class _Run:
    prompt_tokens: int = 0  # computed: those found in the cache do not count
    first_seconds: float = 0.0  # until each request had its first token
    later_tokens: int = 0
    later_seconds: float = 0.0


def _run(engine: Engine, prompts: Sequence[Sequence[int]], generate: int) -> _Run:
    # Nothing stops an answer early, and a temperature of 1 keeps greedy repetition from narrowing the experts used.
    params = SamplingParams(temperature=1.0, seed=0, max_tokens=generate, stop_tokens=())
    begin = time.perf_counter()
    waiting = {engine.add(prompt, params) for prompt in prompts}
    run = _Run()
    while engine.has_work:
        started = not waiting
        for output in engine.step():
            if output.finish == "no_token":
                raise BackendError("no token could be drawn: the logits are not finite; `ossia check MODEL` tells more")
            run.later_tokens += len(output.tokens) if started else 0
            if output.request_id in waiting:
                waiting.remove(output.request_id)
                run.prompt_tokens += output.prompt_tokens - output.cached_tokens
        if not started:
            run.first_seconds = time.perf_counter() - begin
    run.later_seconds = time.perf_counter() - begin - run.first_seconds
    return run


def summarise(runs: Sequence[Repeat], loaded: Loaded, load: Load, peak: int, anonymous: int | None) -> Speed:
    """The medians, beside what the machine's memory would allow."""
    decode = statistics.median(run.decode_tokens_per_second for run in runs)
    middle = load.depth + load.prompt + load.generate // 2
    ops = loaded.ops
    needed = decode_bytes(
        loaded.checkpoint, load.batch, middle, ops.precision, ops.stored_dtype, screened=loaded.screened
    )
    threads = loaded.threads or processors()
    bandwidth, of_weights = read_bandwidth(threads), weights_bandwidth(loaded.checkpoint, threads)
    return Speed(
        isa=loaded.isa,
        repeats=tuple(runs),
        prefill_tokens_per_second=statistics.median(run.prefill_tokens_per_second for run in runs),
        decode_tokens_per_second=decode,
        decode_bytes_per_step=needed,
        read_bandwidth_bytes_per_second=bandwidth,
        decode_bound_fraction=decode / load.batch * needed / bandwidth,
        weights_bandwidth_bytes_per_second=of_weights,
        decode_weights_fraction=decode / load.batch * needed / of_weights,
        peak_rss_bytes=peak,
        peak_anonymous_bytes=anonymous,
    )

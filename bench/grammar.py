"""What do token masks cost, and what do they save?

    python bench/grammar.py
    python bench/grammar.py --save

Compiling, building the vocabulary's table, masks while a document is written token by token, the share of tokens that
are forced, and a step of the engine with and without masks: on nano, and on a random model of few layers with the
published vocabulary. Tables, compilations and masks are timed alone, in time of computing, which other work on the
machine does not change; of steps, with masks computed beside the forward pass, the least of some medians is given.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import report

from ossia.checkpoint import make_random
from ossia.config import ModelConfig
from ossia.engine import Engine, SamplingParams
from ossia.grammar import Compiler, JsonObject, JsonSchema, Rules, ToolRule, Walk
from ossia.harmony import Vocabulary
from ossia.loading import defaults_of, engine_config, load_weights, vocabulary_of

DOCUMENT = {
    "name": "Ada Lovelace, daughter of Lord Byron and Anne Isabella Milbanke",
    "born": "1815-12-10",
    "tags": ["mathematics", "analytical engine", "note G"],
    "works": [{"title": "Sketch of the Analytical Engine", "year": 1843, "pages": 66.5}] * 3,
    "about": 'The engine "weaves algebraical patterns", just as the\nJacquard loom weaves flowers and leaves.',
}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 100},
        "born": {"type": "string", "format": "date"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "works": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"title": {"type": "string"}, "year": {"type": "integer"}, "pages": {"type": "number"}},
                "required": ["title", "year", "pages"],
                "additionalProperties": False,
            },
        },
        "about": {"type": "string"},
    },
    "required": ["name", "born", "tags", "works", "about"],
    "additionalProperties": False,
}

RULES = {
    "Harmony": Rules(),
    "any object": Rules(answer=JsonObject()),
    "schema": Rules(answer=JsonSchema(SCHEMA)),
    "20 tools": Rules(
        tools=tuple(ToolRule(recipient=f"functions.f{n}", parameters=SCHEMA) for n in range(20)),
        answer=JsonSchema(SCHEMA),
        max_reasoning_tokens=1000,
    ),
}


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The median of some runs."""
    found: list[float] = []
    for _ in range(repeats):
        begin = time.thread_time()
        work()
        found.append(time.thread_time() - begin)
    return statistics.median(found)


def answer(vocabulary: Vocabulary) -> list[int]:
    """What a model might write: a thought, and the document."""
    v = vocabulary
    thought = [v.channel, *v.encode("analysis"), v.message, *v.encode("The user wants her as JSON. " * 4), v.end]
    opening = [v.start, *v.encode("assistant"), v.channel, *v.encode("final"), v.message]
    return [*thought, *opening, *v.encode(json.dumps(DOCUMENT, ensure_ascii=False)), v.return_]


def masks(grammar: Walk, tokens: list[int], words: int) -> dict[str, float]:
    """What each token of an answer costs, in microseconds, and how many are forced."""
    filled, accepted, looked, forced, ahead = [], [], [], 0, 0
    mask = np.zeros(words, np.int32)
    for token in tokens:
        begin = time.thread_time()
        must = grammar.forced()
        looked.append(time.thread_time() - begin)
        ahead = max(ahead - 1, len(must))
        forced += ahead > 0
        mask[:] = 0
        begin = time.thread_time()
        grammar.fill_mask(mask)
        filled.append(time.thread_time() - begin)
        begin = time.thread_time()
        assert grammar.accept(token)
        accepted.append(time.thread_time() - begin)
    return {
        "mask_mean_us": statistics.mean(filled) * 1e6,
        "mask_p50_us": statistics.median(filled) * 1e6,
        "mask_p99_us": float(np.percentile(filled, 99)) * 1e6,
        "mask_max_us": max(filled) * 1e6,
        "accept_mean_us": statistics.mean(accepted) * 1e6,
        "forced_mean_us": statistics.mean(looked) * 1e6,
        "forced_share": forced / len(tokens),
    }


def compiling(vocabulary: Vocabulary, repeats: int) -> tuple[float, dict[str, dict[str, float]]]:
    begin = time.process_time()
    compiler = Compiler(vocabulary)
    table = time.process_time() - begin
    tokens, words, found = answer(vocabulary), -(-vocabulary.size // 32), {}
    for name, rules in RULES.items():
        sources = iter([replace(rules, max_reasoning_tokens=5000 + n).to_source() for n in range(repeats)])
        compile_ms = seconds(lambda s=sources: compiler.compile(next(s)), repeats) * 1e3
        found[name] = {"compile_ms": compile_ms} | masks(compiler.compile(rules.to_source()), tokens, words)
    return table, found


def steps(model: str, batch: int, generate: int, repeats: int) -> dict[str, float]:
    """Milliseconds of a step, alike in all but the masks."""
    loaded = load_weights(model)
    vocabulary = vocabulary_of(loaded.checkpoint)
    compiler = Compiler(vocabulary)
    config = engine_config(loaded, vocabulary, defaults_of(loaded.checkpoint), 1024, max_requests=batch)
    engine = Engine(loaded.model, config, compiler.compile)
    prompt = [vocabulary.start, *vocabulary.encode("assistant")]
    params = SamplingParams(max_tokens=generate, stop_tokens=(), seed=1)
    sources = {"no masks": None} | {name: rules.to_source() for name, rules in RULES.items()}
    found: dict[str, list[float]] = {name: [] for name in sources}
    for _ in range(repeats):
        for name, source in sources.items():
            found[name].append(_step_seconds(engine, prompt, params, source, batch) * 1e3)
    return {name: min(each) for name, each in found.items()}


def _step_seconds(engine: Engine, prompt: list[int], params: SamplingParams, source: str | None, batch: int) -> float:
    for number in range(batch):
        engine.add(prompt, replace(params, seed=number), grammar=source)
    engine.step()
    taken: list[float] = []
    while engine.has_work:
        begin = time.perf_counter()
        outputs = engine.step()
        if sum(len(output.tokens) for output in outputs) == batch:
            taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def wide(folder: Path) -> str:
    """A random model of four layers with the published vocabulary."""
    config = ModelConfig.from_dict(
        json.loads((Path(__file__).parents[1] / "src/ossia/data/configs/20b.json").read_text("utf-8"))
    )
    sizes = {"num_hidden_layers": 4, "hidden_size": 512, "intermediate_size": 512, "num_local_experts": 8}
    small = replace(config, layer_types=config.layer_types[:4], **sizes)
    make_random(folder / "wide", small)
    return str(folder / "wide")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 8], help="requests at once; none: no steps")
    parser.add_argument("--generate", type=int, default=48, help="tokens of each answer")
    parser.add_argument("--save", action="store_true", help="keep the result in bench/results")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    around = report.surroundings()
    print(report.in_words(around))
    vocabulary = Vocabulary.embedded()
    vocabulary.encode("")
    table, found = compiling(vocabulary, options.repeats)
    print(f"table of {vocabulary.size} tokens: {table:.2f} s")
    for name, row in found.items():
        print(f"{name:>11}: " + ", ".join(f"{key} {value:.3g}" for key, value in row.items()), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        models = {"nano": "nano", "4 layers, 201,088 tokens": wide(Path(folder))}
        rows = [
            {"model": name, "batch": batch, "step_ms": steps(path, batch, options.generate, options.repeats)}
            for name, path in models.items()
            for batch in options.batch
        ]
    for row in rows:
        print(f"{row['model']}, {row['batch']} at once, ms a step: {row['step_ms']}")
    if options.save:
        result = around | {"load_average": os.getloadavg(), "table_seconds": table, "masks": found, "steps": rows}
        print(f"written to {report.save('grammar', result)}")


if __name__ == "__main__":
    main()

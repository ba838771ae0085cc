"""What do guessed tokens gain, by how often they are right?

    python bench/guesses.py gpt-oss-20b
    python bench/guesses.py gpt-oss-20b --lengths 1 2 4 --right 0.5 0.9 --save

A step that is given guesses computes them beside the next token and keeps those that were right, so that answers stay
the same; this says what is left of it for the clock. First a plain answer is drawn. Then the same answer is drawn with
a drafter that knows it, and says of each token with the given probability what comes, and otherwise something else. A
line has the time a token took without guesses over the time with them, in turns with plain ones: above 1 the guesses
gain. A guess ends at its first wrong token, whatever comes after it.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import report

from ossia import loading
from ossia.engine import Drafter, Engine, EngineConfig, SamplingParams

_LINE = "{length:>6} {right:>6.2f} {tokens_per_step:>11.2f} {step_cost:>9.2f} {gain:>6.2f}"


@dataclass
class Oracle:
    """A drafter that knows the text, and is right about each token with probability `right`."""

    text: Sequence[int]
    most: int
    right: float
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def propose(self, tokens: Sequence[int]) -> list[int]:
        coming = self.text[len(tokens) : len(tokens) + self.most]
        return [token if self.random.random() < self.right else (token + 1) % 1000 for token in coming]


@dataclass(frozen=True)
class Answer:
    """An answer's tokens, and the time and the steps of those after the first."""

    tokens: list[int]
    seconds: float
    steps: int

    @property
    def token_seconds(self) -> float:
        return self.seconds / (len(self.tokens) - 1)


def answer(engine: Engine, prompt: list[int], count: int, drafter: Drafter | None = None) -> Answer:
    params = SamplingParams(temperature=1.0, seed=0, max_tokens=count, stop_tokens=())
    engine.add(prompt, params, drafter=drafter)
    tokens: list[int] = []
    begin, steps = 0.0, 0
    while engine.has_work:
        for output in engine.step():
            steps += bool(tokens)
            begin = begin or time.perf_counter()
            tokens += output.tokens
    return Answer(tokens, time.perf_counter() - begin, steps)


def measured(engine: Engine, prompt: list[int], count: int, lengths: list[int], shares: list[float]) -> list[dict]:
    rows, text = [], [*prompt, *answer(engine, prompt, count).tokens]
    for most in lengths:
        for right in shares:
            plain = answer(engine, prompt, count)
            guessed = answer(engine, prompt, count, Oracle(text, most, right))
            if guessed.tokens != plain.tokens:
                sys.exit("guesses changed the answer")
            rows.append(
                {
                    "length": most,
                    "right": right,
                    "tokens_per_step": (count - 1) / guessed.steps,
                    "step_cost": guessed.seconds / guessed.steps / plain.token_seconds,
                    "gain": plain.token_seconds / guessed.token_seconds,
                }
            )
            print(_LINE.format(**rows[-1]), flush=True)
    return rows


def arguments() -> argparse.Namespace:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("model", nargs="?", default="nano", help="a path, a hub name, or nano")
    made.add_argument("--precision", help="exact, fast or turbo (default: the model's)")
    made.add_argument("--generate", type=int, default=33, help="tokens of an answer")
    made.add_argument("--lengths", type=int, nargs="+", default=[1, 2, 4, 8], help="tokens of a guess")
    made.add_argument("--right", type=float, nargs="+", default=[0.0, 0.5, 0.7, 0.9, 1.0])
    made.add_argument("--save", action="store_true", help="keep the result in bench/results")
    return made.parse_args()


def main() -> None:
    options, around = arguments(), report.surroundings()
    print(report.in_words(around))
    loaded = loading.load_weights(options.model, precision=options.precision)
    engine = Engine(loaded.model, EngineConfig(context=1024, max_requests=1))
    prompt = np.random.default_rng(0).integers(0, loaded.config.vocab_size, 32).tolist()
    print(f"{'length':>6} {'right':>6} {'tokens/step':>11} {'step cost':>9} {'gain':>6}")
    rows = measured(engine, prompt, options.generate, options.lengths, options.right)
    if options.save:
        print(f"written to {report.save('guesses', around | loaded.settings() | {'rows': rows})}", file=sys.stderr)


if __name__ == "__main__":
    main()

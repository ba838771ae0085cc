"""Train the embedded model: `python -m recipes.nano.train --output build/nano`.

Runs one process a core, or with `--device cuda` one on the GPU, which takes many batches at once. Writes a checkpoint
and the loss curve every minute, and when one process is told to stop; started again with the same arguments, it goes on
from the checkpoint.
"""

import argparse
import math
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import torch

from ossia.cli._bounds import processors
from ossia.cli._options import at_least
from ossia.errors import OssiaError
from ossia.train.ahead import Ahead
from ossia.train.curve import write_curve
from ossia.train.rows import Rows, aligned
from ossia.train.trainer import Progress, Trainer, TrainingConfig
from recipes.nano.command import alone, run
from recipes.nano.conversation import Format, vocabulary
from recipes.nano.mixture import SHARED, Mixture, Shares
from recipes.nano.ranks import on_signals, run_ranks
from recipes.nano.shape import model_config

CHECKPOINT = "checkpoint.pt"
CURVE = "loss.png"
LOCK = ".lock"
_ON_GPU = {"steps": 27_000, "tokens": 2400, "muon_rate": 0.02, "first_part": 0.03, "full_at_first": 0.5}
"""What is the default there: a step has twenty times as many tokens, and its gradient bears larger rates."""
_ROOM = 160
"""Tokens of a row beyond those asked for, where its last document ends; few are longer, and those are cut."""


def main() -> None:
    """Parse the arguments and train; of two runs into one folder the second is refused."""
    arguments = _arguments()
    # A product is compiled for each shape; the default keeps fewer than there are.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")
    if arguments.output.exists() and not arguments.output.is_dir():
        raise OssiaError(f"{arguments.output}: this is no folder; a folder or a new name is right")
    arguments.output.mkdir(parents=True, exist_ok=True)
    with alone(arguments.output / LOCK, arguments.output):
        if arguments.device != "cpu" or arguments.processes == 1:
            _train(None, arguments)
        else:
            run_ranks(partial(_train, arguments=arguments), arguments.processes)


def new_trainer(
    training: TrainingConfig,
    tokens: int,
    full_at_first: float = 0.1,
    first_part: float = 0.3,
    rows: int = 32,
    *,
    wide: bool = False,
    shares: Shares = (),
) -> Trainer:
    """A trainer of the embedded model over its mixture; `tokens` is for each process and step, or each of `rows`."""
    tokens_of = vocabulary()
    config = model_config(tokens_of.size, tokens_of.return_, tokens_of.endoftext)
    data = Mixture(
        Format(tokens_of),
        training.steps,
        tokens,
        training.seed,
        full_at_first=full_at_first,
        first_part=first_part,
        wide=wide,
        shares=shares,
    )
    if training.device == "cpu":
        return Trainer(config, training, data)

    make = partial(_side_by_side, data, rows, tokens + _ROOM)
    return Trainer(config, training, Ahead(make, training.steps, max(1, processors() - 1)))


def _side_by_side(data: Mixture, rows: int, length: int, step: int) -> Rows:
    return aligned([data(step, row) for row in range(rows)], length)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the embedded model.")
    parser.add_argument("--output", type=Path, default=Path("build/nano"), help="folder for checkpoint and curve")
    parser.add_argument("--steps", type=at_least(1), default=10_000)
    parser.add_argument("--tokens", type=at_least(1), default=2048, help="of each process and step, or each row")
    parser.add_argument("--device", default="cpu", help="cuda: on the GPU, compiled")
    parser.add_argument("--rows", type=at_least(1), help="of each step on a GPU (32)")
    parser.add_argument("--processes", type=at_least(1), help="one of one thread for each core (2); not for a GPU")
    parser.add_argument("--from", dest="start", type=Path, help="begin with the parameters of this checkpoint")
    parser.add_argument("--muon-rate", type=float, default=TrainingConfig.muon_rate)
    parser.add_argument("--adam-rate", type=float, default=TrainingConfig.adam_rate)
    parser.add_argument("--full-at-first", type=float, default=0.1, help="part of prefixes that are real, at first")
    parser.add_argument("--first-part", type=float, default=0.3, help="of the run: only what all others stand on")
    parser.add_argument("--wide", action="store_true", help="all skills, not those of the first mixture alone")
    parser.add_argument(
        "--share", action="append", default=[], type=_share, metavar="NAME=SHARE", help="of a skill or setting: another"
    )
    parser.add_argument("--save-every", type=float, default=60.0, help="seconds")
    parser.add_argument(
        "--no-compile", dest="compile", action="store_false", help="run elementwise parts as they stand"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if (wrong := _mistake(given)) is not None:
        parser.error(wrong)
    parser.set_defaults(rows=32, processes=2, **({} if given.device == "cpu" else _ON_GPU))
    return parser.parse_args()


def _share(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}; a name and a number from 0 on, as ordering=20, is right")
    if name not in SHARED:
        raise argparse.ArgumentTypeError(f"no skill or setting is named {name!r}; one of {', '.join(SHARED)} is right")
    return name, value


def _mistake(given: argparse.Namespace) -> str | None:
    """What was asked for and cannot be had, on the device or anywhere."""
    if given.start is not None and not given.start.is_file():
        return f"--from {given.start}: there is no such file; the checkpoint of another run is right"
    if given.device == "cpu":
        return None if given.rows is None else "--rows are a GPU's; --tokens or --processes, or --device cuda, is right"
    if given.processes is not None:
        return f"--processes are the processor's, and --device is {given.device}; --rows is right there"
    try:
        torch.empty(0, device=given.device)
    except (AssertionError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        return f"--device {given.device}: {why}; cpu is right, or cuda where a GPU is and torch was made for it"
    return None


def _train(rank: int | None, arguments: argparse.Namespace) -> None:
    """Train alone, without a rank, or as one of several processes, of which the first reports and saves."""
    torch.set_num_threads(1)
    training = TrainingConfig(
        steps=arguments.steps,
        muon_rate=arguments.muon_rate,
        adam_rate=arguments.adam_rate,
        seed=arguments.seed,
        device=arguments.device,
        compiled=arguments.compile,
    )
    trainer = new_trainer(
        training,
        arguments.tokens,
        arguments.full_at_first,
        arguments.first_part,
        arguments.rows,
        wide=arguments.wide,
        shares=tuple(arguments.share),
    )
    checkpoint = arguments.output / CHECKPOINT
    if checkpoint.exists():
        trainer.load(checkpoint)
        if not rank:
            print(f"goes on from step {trainer.step} of {checkpoint}", file=sys.stderr, flush=True)
    elif arguments.start:
        trainer.load(arguments.start, weights_only=True)
    reporter = _Reporter(trainer, arguments.output, arguments.save_every)
    if rank is None:
        with on_signals(reporter.stop, signal.SIGINT, signal.SIGTERM):
            trainer.run(reporter)
    else:
        trainer.run(_silent if rank else reporter)


class _Reporter:
    """Prints a line of progress, and saves every so many seconds, at the end, and when it is told to stop."""

    def __init__(self, trainer: Trainer, output: Path, save_every: float) -> None:
        self._trainer, self._output, self._save_every = trainer, output, save_every
        self._began, self._saved = time.monotonic(), time.monotonic()
        self._first, self._tokens, self._stopping = trainer.step, 0, False

    def stop(self, *signal_and_frame: object) -> None:
        """Ends the run after the step at hand."""
        self._stopping = True

    def __call__(self, progress: Progress) -> None:
        """Called after every step."""
        now, steps = time.monotonic(), self._trainer.training.steps
        self._tokens += progress.tokens
        seconds = now - self._began
        if progress.step % 10 == 0 or progress.step == steps:
            recent = self._trainer.losses[-50:]
            left = (steps - progress.step) * seconds / (progress.step - self._first) / 60
            print(
                f"step {progress.step}/{steps}  loss {sum(recent) / len(recent):.4f}  balance {progress.balance:.3f}  "
                f"{self._tokens / seconds:,.0f} tokens/s  {left:.1f} minutes left",
                file=sys.stderr,
                flush=True,
            )
        if now - self._saved >= self._save_every or progress.step == steps or self._stopping:
            self._saved = now
            self._trainer.save(self._output / CHECKPOINT)
            rounding = round(steps * self._trainer.training.quantise_from)
            marks = {"MXFP4": rounding} if rounding <= progress.step else {}
            write_curve(self._output / CURVE, self._trainer.losses, marks)
        if self._stopping:
            sys.exit(f"stopped at step {progress.step} of {steps}; the same command goes on from there")


def _silent(progress: Progress) -> None:
    """The other processes say nothing."""


if __name__ == "__main__":
    run(main)

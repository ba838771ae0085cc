"""Full training of a small model over `ossia.model`, resumable at any step: on one device, or in one process a core."""

import math
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ossia.config import ModelConfig
from ossia.errors import CheckpointError, OssiaError
from ossia.files import open_regular
from ossia.model import forward, prepare
from ossia.train.dense_ops import DenseLoss
from ossia.train.muon import Muon
from ossia.train.packing import PrefixedBatch
from ossia.train.parameters import initial_parameters, is_matrix
from ossia.train.rows import Rows
from ossia.train.train_ops import TrainOps

__all__ = ["Progress", "Trainer", "TrainingConfig", "batch_loss", "read_checkpoint", "take"]

Data = Callable[[int, int], PrefixedBatch | Rows]
"""The batch of a step (from 0) for one process; the same arguments give the same batch. `Rows` are for a device."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How to train. Rates rise over `warmup` steps, then fall on a straight line to zero at `steps`."""

    steps: int
    muon_rate: float = 0.006
    adam_rate: float = 6e-3
    warmup: int = 40
    balance: float = 0.01
    largest_gradient: float = 1.0
    quantise_from: float = 0.9
    """The part of the steps after which experts are rounded to MXFP4 on the way."""
    seed: int = 0
    device: str = "cpu"
    """What to train on: "cpu" on batches as they come, any other device of torch on `Rows`."""
    compiled: bool = False
    """Whether elementwise parts, or on a device the whole step, are compiled; what is learned differs by rounding."""

    def rate(self, step: int) -> float:
        """The factor of both rates at a step."""
        return min((step + 1) / self.warmup, (self.steps - step) / self.steps)


@dataclass(frozen=True)
class Progress:
    """What one step did, over all processes. `loss` is in nats a learned token."""

    step: int
    loss: float
    balance: float
    tokens: int


class Trainer:
    """Parameters, optimisers and the step they have reached; `run` goes on from there.

    Every process of a `torch.distributed` group makes its own, from the same arguments but `data`'s rank.
    """

    def __init__(self, config: ModelConfig, training: TrainingConfig, data: Data) -> None:
        self.config, self.training, self.data = config, training, data
        initial = initial_parameters(config, training.seed)
        self.parameters = {name: nn.Parameter(value.data.to(training.device)) for name, value in initial.items()}
        make_loss = _SortedLoss if training.device == "cpu" else DenseLoss
        self._loss: Any = make_loss(config, training.device, compiled=training.compiled)
        self.step = 0
        self.losses: list[float] = []
        matrices = [value for name, value in self.parameters.items() if is_matrix(name)]
        others = [value for name, value in self.parameters.items() if not is_matrix(name)]
        self._optimisers = (
            Muon(matrices, lr=training.muon_rate),
            torch.optim.AdamW(others, lr=training.adam_rate, betas=(0.9, 0.97), weight_decay=0.0, fused=True),
        )
        self._rank = dist.get_rank() if dist.is_initialized() else 0

    def run(self, report: Callable[[Progress], None]) -> None:
        """Train from the step reached to the last one, telling `report` of each.

        Raises OssiaError when a loss is no finite number.
        """
        while self.step < self.training.steps:
            report(self._one_step())

    def save(self, path: Path) -> None:
        """Write all that resuming needs; a crash leaves the file that was there before, or the new one."""
        state = {
            "step": self.step,
            "losses": self.losses,
            "parameters": {name: value.data for name, value in self.parameters.items()},
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
        }
        unfinished = path.with_suffix(".unfinished")
        torch.save(state, unfinished)
        unfinished.replace(path)

    def load(self, path: Path, *, weights_only: bool = False) -> None:
        """Go on from a saved file; with `weights_only` from its parameters alone, at step 0."""
        state = read_checkpoint(path, *(() if weights_only else ("losses", "optimisers")))
        take(self.parameters, state["parameters"], path)
        if weights_only:
            return
        self.step, self.losses = state["step"], state["losses"]
        for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)

    def _one_step(self) -> Progress:
        training = self.training
        batch = self.data(self.step, self._rank)
        quantise = self.step >= training.quantise_from * training.steps
        loss, balance = self._loss(self.parameters, batch, quantise=quantise)
        (loss + training.balance * balance).backward()
        figures = self._average(torch.stack([loss, balance, loss.new_tensor(math.prod(batch.tokens.shape))]).detach())
        self._update(training.rate(self.step))
        self.step += 1
        self.losses.append(figures[0].item())
        if not math.isfinite(self.losses[-1]):
            raise OssiaError(
                f"the loss of step {self.step} is {self.losses[-1]}; smaller rates (muon_rate {training.muon_rate}, "
                f"adam_rate {training.adam_rate}) are right"
            )
        processes = dist.get_world_size() if dist.is_initialized() else 1
        tokens = round(figures[2].item() * processes)
        return Progress(self.step, self.losses[-1], figures[1].item(), tokens)

    def _average(self, figures: Tensor) -> Tensor:
        """Average all gradients, in place, and the figures, over the processes, in one exchange."""
        if not dist.is_initialized() or dist.get_world_size() == 1:
            return figures
        gradients = [_gradient(parameter) for parameter in self.parameters.values()]
        flat = torch.cat([figures, *(gradient.flatten() for gradient in gradients)])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        parts = flat.split([len(figures), *(gradient.numel() for gradient in gradients)])
        for gradient, part in zip(gradients, parts[1:], strict=True):
            gradient.copy_(part.view_as(gradient))
        return parts[0]

    def _update(self, rate: float) -> None:
        nn.utils.clip_grad_norm_(self.parameters.values(), self.training.largest_gradient)
        for optimiser, full in zip(self._optimisers, (self.training.muon_rate, self.training.adam_rate), strict=True):
            optimiser.param_groups[0]["lr"] = full * rate
            optimiser.step()
            optimiser.zero_grad(set_to_none=False)


_JUNK = (
    pickle.PickleError,
    struct.error,
    zipfile.BadZipFile,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What torch.load raises on files that are damaged or of another kind."""


def read_checkpoint(path: Path, *more: str) -> dict[str, Any]:
    """What `Trainer.save` wrote, its tensors on the processor; `more` it must hold beside a step and parameters.

    Raises CheckpointError when it cannot be read, or does not hold them.
    """
    right = "a checkpoint that training wrote is right"
    try:
        state = _loaded(path)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}; {right}") from error
    except _JUNK as error:
        raise CheckpointError(f"{path}: it is damaged or no checkpoint; {right}") from error
    if lacking := [key for key in ("step", "parameters", *more) if key not in state]:
        raise CheckpointError(f"{path}: it holds no {', '.join(lacking)}; {right}")
    return state


def _loaded(path: Path) -> dict[str, Any]:
    """A dict that torch saved. A file that is no archive never comes before torch, which warns of some."""
    with open_regular(path) as file:
        if not zipfile.is_zipfile(file):
            raise TypeError("not an archive")
        file.seek(0)
        state = torch.load(file, weights_only=True, map_location="cpu")
    if not isinstance(state, dict):
        raise TypeError(f"{type(state).__name__}, not a dict")
    return state


def take(parameters: Mapping[str, nn.Parameter], saved: Mapping[str, Tensor], path: Path) -> None:
    """Set the parameters to those that were saved in `path`. Raises OssiaError when they are another model's."""
    if _shapes(saved) != _shapes(parameters):
        raise OssiaError(f"{path} holds the parameters of another model; one of the same config is right")
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(saved[name])


class _SortedLoss:
    """As `DenseLoss`, of a `PrefixedBatch` on a processor."""

    def __init__(self, config: ModelConfig, device: str, *, compiled: bool) -> None:
        self._config, self._compiled = config, compiled

    def __call__(
        self, parameters: dict[str, nn.Parameter], batch: PrefixedBatch, *, quantise: bool
    ) -> tuple[Tensor, Tensor]:
        ops = TrainOps(quantise=quantise, compiled=self._compiled)
        return batch_loss(ops, self._config, parameters, batch), torch.stack(ops.balance).mean()


def batch_loss(ops: TrainOps, config: ModelConfig, parameters: dict[str, nn.Parameter], batch: PrefixedBatch) -> Tensor:
    """Mean cross-entropy in nats of the batch's targets. Raises OssiaError when there are none."""
    if not len(batch.targets):
        raise OssiaError("nothing in this batch is learned; at least one token with a mark is right")
    weights = prepare(ops, config, cast(Any, parameters))
    return ops.cross_entropy(forward(ops, config, weights, batch), torch.from_numpy(batch.targets).long())


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _shapes(parameters: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in parameters.items()}

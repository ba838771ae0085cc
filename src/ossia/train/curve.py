"""The loss of a training run as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

__all__ = ["smoothed", "write_curve"]


def smoothed(losses: Sequence[float], window: int) -> np.ndarray:
    """[n] -> [n]: the mean of the last `window` losses, of fewer where there are fewer."""
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    ends = np.arange(1, len(losses) + 1)
    begins = np.maximum(ends - window, 0)
    return (sums[ends] - sums[begins]) / (ends - begins)


def write_curve(path: Path, losses: Sequence[float], marks: dict[str, int]) -> None:
    """Write a PNG of the loss a learned token against the step; `marks` names steps at which something changed."""
    import matplotlib as mpl  # noqa: PLC0415 # slow to import, and needed once a minute at most

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    steps = np.arange(1, len(losses) + 1)
    axes.plot(steps, losses, color="0.8", linewidth=0.6)
    axes.plot(steps, smoothed(losses, 50), color="C0")
    for name, step in marks.items():
        axes.axvline(step, color="0.5", linewidth=0.8, linestyle="--")
        axes.annotate(name, (step, axes.get_ylim()[1]), rotation=90, va="top", ha="right", fontsize=8)
    axes.set(xlabel="step", ylabel="loss, nats a token", yscale="log")
    figure.savefig(path, dpi=120)
    plt.close(figure)

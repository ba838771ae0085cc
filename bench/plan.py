"""What would a published model do on a machine with so much memory, by what this machine measured?

    python bench/plan.py --disk 1.4e9 --bandwidth 29e9
    python bench/plan.py --memory 24 64 --save

A token reads attention, router, unembedding and four experts a layer. What the memory holds of the experts is not read
from the disk again; with a router that chooses evenly, that is the memory's share of them. A token then takes the time
of reading the rest from the disk, and of reading all from memory. What else a machine does is not in it:
bench/memory.py measures, on 20b, how near that comes. `--bandwidth` and `--disk` in bytes a second are measured unless
given, the disk with the file named by `--file`. --save puts the table into docs/performance.md.
"""

import argparse
import sys
from pathlib import Path

import report
from memory import GIB, disk_speed
from serving.page import filled, placed

from ossia.checkpoint import Checkpoint, expected_tensors, published_configs
from ossia.cli._bounds import processors, read_bandwidth, weight_bytes
from ossia.config import ModelConfig
from ossia.ops import Precision

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- plan: begin -->", "<!-- plan: end -->"

OTHER = 2 * GIB
"""Memory that is not for weights: the cache of a short context, the program, the system."""


def published(name: str) -> Checkpoint:
    """A published model's checkpoint as far as its sizes go."""
    config = ModelConfig.read(published_configs()[name])
    specs = expected_tensors(config)
    stored = {tensor: "MXFP4" if spec.dtype == "mxfp4" else "BF16" for tensor, spec in specs.items()}
    return Checkpoint(
        path=Path(name), config=config, layout="hugging_face", experts="mxfp4", tensors={}, stored=stored, bytes=0
    )


def planned(name: str, memory: float, disk: float, bandwidth: float) -> dict[str, float]:
    """Bytes read a token, of them those that come from the disk, and tokens a second."""
    model = published(name)
    config, token = model.config, weight_bytes(model, 1, Precision.FAST)
    active = config.num_experts_per_tok / config.num_local_experts
    # A batch that chooses every expert reads all of them.
    everything = weight_bytes(model, 10_000, Precision.FAST)
    experts = (everything - token) / (1 - active)
    held = min(1.0, max(0.0, memory * GIB - OTHER - (everything - experts)) / experts)
    missed = experts * active * (1 - held)
    return {
        "memory_gib": memory,
        "token_bytes": token,
        "experts_held": held,
        "disk_bytes": missed,
        "tokens_per_second": 1 / (missed / disk + token / bandwidth),
    }


def section(rows: list[tuple[str, dict[str, float]]], disk: float, bandwidth: float) -> str:
    """The page's part."""
    words = f"""
        `{report.command()}`: what the published models' sizes allow in `fast` at {bandwidth / 1e9:.0f} GB/s from memory
        and {disk / 1e9:.1f} GB/s from the disk, with a router that chooses evenly. It is a bound, no measurement:
        `bench/memory.py` says how near a machine comes to it."""
    lines = [
        BEGIN,
        "",
        "## Where memory is short: a plan",
        "",
        filled(words),
        "",
        "| model | memory | experts held | read a token | of it from the disk | tokens/s at most |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {row['memory_gib']:.0f} GiB | {row['experts_held']:.0%} | {row['token_bytes'] / 1e9:.2f} GB "
        f"| {row['disk_bytes'] / 1e9:.2f} GB | {row['tokens_per_second']:.1f} |"
        for name, row in rows
    ]
    return "\n".join([*lines, "", END])


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--models", nargs="+", default=["20b", "120b"], choices=["20b", "120b"])
    made.add_argument("--memory", type=float, nargs="+", default=[8, 16, 24, 32, 64, 96], help="GiB")
    made.add_argument("--disk", type=float, help="bytes a second")
    made.add_argument("--bandwidth", type=float, help="bytes a second")
    made.add_argument("--file", type=Path, help="a large file to measure the disk with")
    made.add_argument("--save", action="store_true", help="put the table into docs/performance.md")
    options = made.parse_args()
    if options.disk is None and options.file is None:
        made.error("--disk or --file is needed")
    disk = options.disk or disk_speed(options.file)
    bandwidth = options.bandwidth or read_bandwidth(processors())
    rows = [(name, planned(name, memory, disk, bandwidth)) for name in options.models for memory in options.memory]
    text = section(rows, disk, bandwidth)
    print(text)
    if options.save:
        placed(PAGE, text, BEGIN, END)
        print(f"written to {PAGE}", file=sys.stderr)


if __name__ == "__main__":
    main()

"""`ossia check`: read a model through, say whether it is whole, and measure what `fast` costs it."""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ossia.cli import _options
from ossia.cli._display import Progress
from ossia.errors import TensorError

if TYPE_CHECKING:
    import numpy as np

    from ossia.checkpoint import Checkpoint, Tensor
    from ossia.harmony import Vocabulary
    from ossia.loading import Loaded

HELP = "Read every tensor of a model, and measure how far `fast` is from `exact`."
EXAMPLE = "ossia check nano"

SMALL = 100_000_000
"""Parameters up to which the reference backend is run too: above, numpy would take minutes and gigabytes."""

TOLERANCE = 1e-4
"""The largest error of `exact` logits allowed, over the largest logit. Rounding alone stays below 1e-5 in models of
small random weights; a trained one can be ten times as sensitive. A kernel that is wrong is wrong by far more."""

PART_BYTES = 16 << 20

NO_NUMBERS = "the logits are not finite: some weights are so large that sums of them overflow float32"

EXCHANGES = (
    ("What is 37 * 48?", "37 * 48 = 37 * 50 - 37 * 2 = 1850 - 74 = 1776."),
    (
        "What is an ossia?",
        "An alternative passage which may be played instead of the original. The word is Italian for 'or else'.",
    ),
    ("Write a function that doubles a list.", "def doubled(values):\n    return [2 * value for value in values]"),
)
"""What the precisions are compared on, repeated until it is long enough: arithmetic, prose and code, as a conversation,
since other text is strange to these models and their answers to it mean little."""

_MARKS = {True: "ok    ", False: "FAILED", None: "-     "}


@dataclass(frozen=True)
class Finding:
    """What one check found; `passed` is None where it was left out."""

    name: str
    passed: bool | None
    words: str
    figures: dict[str, Any] = field(default_factory=dict)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    _options.add_model(parser)
    _options.add_backend(parser)
    parser.add_argument(
        "--tokens", type=_options.at_least(2), default=256, metavar="N", help="length of the comparison (default: 256)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(options: argparse.Namespace) -> int:
    """Make the checks in turn, each reported as it ends; the exit status is 0 if none failed."""
    from ossia.checkpoint import find, open_checkpoint

    checkpoint = open_checkpoint(find(options.model))
    findings: list[Finding] = []
    for finding in _findings(checkpoint, options):
        findings.append(finding)
        if not options.json:
            print(f"{_MARKS[finding.passed]} {finding.name:10} {finding.words}", flush=True)
    passed = all(finding.passed is not False for finding in findings)
    if options.json:
        print(
            json.dumps({"model": str(checkpoint.path), "passed": passed, "checks": [asdict(one) for one in findings]})
        )
    return 0 if passed else 1


def _findings(checkpoint: "Checkpoint", options: argparse.Namespace) -> Iterator[Finding]:
    from ossia.loading import load_weights, parameters

    config = checkpoint.config
    yield Finding(
        "config",
        True,
        f"{parameters(config) / 1e6:,.1f} million parameters in {config.num_hidden_layers} layers, "
        f"{config.num_local_experts} experts, context {config.max_position_embeddings:,}, layout {checkpoint.layout}",
    )
    yield (values := check_tensors(checkpoint))
    if not values.passed:  # what is computed from damaged weights says nothing
        return
    vocabulary, tokens = check_vocabulary(checkpoint, options.tokens)
    yield vocabulary
    with Progress("exact") as progress:
        exact_model = load_weights(options.model, backend=options.backend, precision="exact", threads=options.threads)
        exact = _log_probabilities(exact_model, tokens, progress)
    yield compare_with_reference(options.model, exact_model, tokens)
    # The weights that `exact` keeps for itself are given back before those of `fast` are made.
    del exact_model
    with Progress("fast") as progress:
        fast_model = load_weights(options.model, backend=options.backend, precision="fast", threads=options.threads)
        yield divergence(exact, _log_probabilities(fast_model, tokens, progress))


def check_tensors(checkpoint: "Checkpoint") -> Finding:
    """Every value read: numbers that are finite, scales that are numbers."""
    wrong: list[str] = []
    total = sum(1 for _ in checkpoint.tensors)
    with Progress("tensors") as progress:
        for count, name in enumerate(checkpoint.tensors, 1):
            try:
                check_values(checkpoint.tensors[name], name)
            except TensorError as error:
                wrong.append(str(error))
            progress.show(count, total)
    size = f"{total} read, {checkpoint.bytes / 2**30:.2f} GiB"
    if wrong:
        return Finding("tensors", False, f"{size}; {len(wrong)} damaged: {wrong[0]}", {"damaged": wrong})
    return Finding("tensors", True, f"{size}, every value finite", {"tensors": total, "bytes": checkpoint.bytes})


def check_values(tensor: "Tensor", name: str) -> None:
    """Read a tensor through. Raises TensorError naming it when a value or a scale is no finite number.

    Works on a part at a time, so that a tensor larger than memory can be checked.
    """
    import numpy as np

    from ossia.mxfp4 import Packed, check_scales

    if isinstance(tensor, Packed):
        check_scales(tensor, name)
        for part in _parts(tensor.blocks):
            part.max()  # every pattern of bits is a number; reading finds what the disk cannot give back
        return
    for part in _parts(tensor):
        if not np.isfinite(part).all():
            raise TensorError(f"{name}: holds NaN or infinity; finite values are right")


def _parts(values: "np.ndarray") -> Iterator["np.ndarray"]:
    """`values` cut along the first axis into parts of about PART_BYTES."""
    rows = max(1, PART_BYTES * len(values) // values.nbytes)
    for row in range(0, len(values), rows):
        yield values[row : row + rows]


def check_vocabulary(checkpoint: "Checkpoint", count: int) -> tuple[Finding, list[int]]:
    """The tokenizer read and tried on texts, and `count` tokens of a conversation for the checks that follow."""
    from ossia.loading import vocabulary_of

    vocabulary = vocabulary_of(checkpoint)
    texts = [text for exchange in EXCHANGES for text in exchange]
    same = all(vocabulary.decode(vocabulary.encode(text)) == text for text in texts)
    words = f"{vocabulary.size:,} tokens, the round trip of {len(texts)} texts {'returns' if same else 'changes'} them"
    tokens = _conversation(vocabulary)
    count = min(count, checkpoint.config.max_position_embeddings)
    return Finding("tokenizer", same, words, {"size": vocabulary.size}), (tokens * (count // len(tokens) + 1))[:count]


def _conversation(vocabulary: "Vocabulary") -> list[int]:
    from ossia.assistant import opening
    from ossia.harmony import Conversation, Effort, Message, render

    said = [
        message
        for question, answer in EXCHANGES
        for message in (Message("user", question), Message("assistant", answer, channel="final"))
    ]
    return render(Conversation((*opening(Effort.MEDIUM), *said)), vocabulary, as_="conversation")


def compare_with_reference(model: str, exact: "Loaded", tokens: Sequence[int]) -> Finding:
    """The backend's `exact` logits of a few tokens against the reference's, where the model is small enough."""
    import numpy as np

    from ossia.loading import load_weights, parameters

    if exact.ops.name == "reference" or parameters(exact.config) > SMALL:
        why = "this is the reference" if exact.ops.name == "reference" else "the model is too large for numpy"
        return Finding("reference", None, f"not compared: {why}")
    reference = load_weights(model, backend="reference", precision="exact")
    with np.errstate(all="ignore"):  # what overflows is said below
        ours, right = (np.concatenate(list(one.logits(tokens[:128]))) for one in (exact, reference))
        error = float(np.abs(ours - right).max() / np.abs(right).max())
    if not np.isfinite(error):
        return Finding("reference", False, NO_NUMBERS, {"error": None})
    words = f"{exact.ops.name} differs by {error:.1e} of the largest logit; up to {TOLERANCE:.0e} is rounding"
    return Finding("reference", error <= TOLERANCE, words, {"error": error})


def _log_probabilities(model: "Loaded", tokens: Sequence[int], progress: Progress) -> "np.ndarray":
    """[T, V] float32."""
    import numpy as np

    rows = np.empty((len(tokens), model.config.vocab_size), np.float32)
    done = 0
    with np.errstate(all="ignore"):  # what overflows shows in the divergence
        for logits in model.logits(tokens):
            logits = logits - logits.max(axis=1, keepdims=True)
            total = np.exp(logits).sum(axis=1, keepdims=True, dtype=np.float64)
            rows[done : done + len(logits)] = logits - np.log(total)
            done += len(logits)
            progress.show(done, len(tokens))
    return rows


def divergence(exact: "np.ndarray", fast: "np.ndarray") -> Finding:
    """How far `fast` is from `exact`: the mean and the largest KL divergence, in nats, of T predictions [T, V]."""
    import numpy as np

    # A row at a time: at 201,088 tokens the whole in float64 would take a gigabyte for 256 rows.
    with np.errstate(all="ignore"):
        kl = np.array(
            [np.sum(np.exp(p, dtype=np.float64) * (p - q.astype(np.float64))) for p, q in zip(exact, fast, strict=True)]
        )
    if not np.isfinite(kl).all():
        return Finding("fast", False, NO_NUMBERS, {"kl_mean": None, "kl_max": None, "tokens": len(exact)})
    same = float(np.mean(exact.argmax(axis=1) == fast.argmax(axis=1)))
    figures = {"kl_mean": float(kl.mean()), "kl_max": float(kl.max()), "same_best": same, "tokens": len(exact)}
    words = (
        f"KL(exact || fast) {figures['kl_mean']:.2e} nats on average, {figures['kl_max']:.2e} at most; "
        f"same best token {same:.1%} of {len(exact)}"
    )
    return Finding("fast", True, words, figures)

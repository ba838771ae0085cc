"""`ossia check`: read a model through, say whether it is whole, and measure what `fast` or `turbo` costs it."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ossia.cli import _options
from ossia.cli._display import Progress
from ossia.errors import ContextLengthError, TensorError, VocabularyError

if TYPE_CHECKING:
    import numpy as np

    from ossia.checkpoint import Checkpoint, Tensor
    from ossia.harmony import Vocabulary
    from ossia.loading import Loaded
    from ossia.ops import Array, Experts, Linear, Ops

HELP = "Read every tensor of a model, and measure how far `fast` or `turbo` is from `exact`."
EXAMPLE = "ossia check nano"

SMALL = 100_000_000
"""Parameters up to which the reference backend is run too: above, numpy would take minutes and gigabytes."""

TOLERANCE = 1e-4
"""The largest error of `exact` logits allowed, over the largest logit. Rounding alone stays below 1e-5 in models of
small random weights; a trained one can be ten times as sensitive. A kernel that is wrong is wrong by far more."""

BOUNDS = {"fast": 5e-4, "turbo": 2e-3}
"""Nats of KL divergence from `exact`, on average, that a precision is to stay within. More is no fault by itself:
routers are left free here, and a few tokens that take other experts by a narrow margin can outweigh all others."""

PART_BYTES = 16 << 20

ROWS = 64
"""Rows of logits computed at a time: at 201,088 tokens, 51 MB."""

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
    """What one check found; `passed` is None where it was left out, or its figures settle nothing."""

    name: str
    passed: bool | None
    words: str
    figures: dict[str, Any] = field(default_factory=dict)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    _options.add_model(parser)
    _options.add_backend(parser)
    _options.add_cache_dtype(parser)
    parser.add_argument(
        "--precision", choices=("fast", "turbo"), default="fast", help="what is compared with exact (default: fast)"
    )
    parser.add_argument(
        "--tokens", type=_options.at_least(2), default=256, metavar="N", help="length of the comparison (default: 256)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(options: argparse.Namespace) -> int:
    """Make the checks in turn, each reported as it ends; the exit status is 0 if none failed."""
    from ossia.checkpoint import find, open_checkpoint

    checkpoint = open_checkpoint(find(options.model))
    if options.tokens > (most := checkpoint.config.max_position_embeddings):
        raise ContextLengthError(f"--tokens is {options.tokens}; at most the model's context of {most} is right")
    findings: list[Finding] = []
    for finding in _findings(checkpoint, options):
        findings.append(finding)
        if not options.json:
            print(f"{_MARKS[finding.passed]} {finding.name:15} {finding.words}", flush=True)
    passed = all(finding.passed is not False for finding in findings)
    if options.json:
        told = {"model": str(checkpoint.path), "kv_cache_dtype": options.kv_cache_dtype, "passed": passed}
        print(json.dumps(told | {"checks": [asdict(one) for one in findings]}))
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
    exact_model = load_weights(checkpoint, backend=options.backend, precision="exact", threads=options.threads)
    yield compare_with_reference(checkpoint, exact_model, tokens)
    exact = _computed(exact_model, tokens, "exact")
    # The weights that `exact` keeps for itself are given back before those of the other are made.
    del exact_model
    other = load_weights(
        checkpoint,
        backend=options.backend,
        precision=options.precision,
        threads=options.threads,
        kv_cache_dtype=options.kv_cache_dtype,
    )
    others = {options.precision: other}
    if options.precision == "turbo":
        others = {"turbo, a prompt": other, "turbo": replace(other, ops=_Alone(other.ops))}
    logits = {name: _computed(model, tokens, name) for name, model in others.items()}
    cache = f" with a cache in {options.kv_cache_dtype}" if options.kv_cache_dtype else ""
    for name, distances in _side_by_side(exact, logits, len(tokens)).items():
        yield replace(divergence(distances, options.precision, cache), name=name)


class _Alone:
    """A backend whose products see each token alone, as where one answer is written: `turbo` rounds by company."""

    def __init__(self, ops: "Ops") -> None:
        self._ops = ops

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ops, name)

    def experts(
        self,
        x: "Array",
        chosen: "Array",
        shares: "Array",
        experts: "Experts",
        limit: float,
        adapters: "np.ndarray | None" = None,
    ) -> "Array":
        """[T, D], [T, A] int32, [T, A] -> [T, D]: as the backend computes it of steps of one token."""

        def one(row: slice) -> "Array":
            own = None if adapters is None else adapters[row]
            return self._ops.experts(x[row], chosen[row], shares[row], experts, limit, own)

        return self._row_by_row(len(x), one)

    def linear(self, x: "Array", projection: "Linear", adapters: "np.ndarray | None" = None) -> "Array":
        """[T, C] -> [T, N]: likewise."""

        def one(row: slice) -> "Array":
            return self._ops.linear(x[row], projection, None if adapters is None else adapters[row])

        return self._row_by_row(len(x), one)

    def _row_by_row(self, rows: int, computed: Callable[[slice], "Array"]) -> "Array":
        import numpy as np

        parts = [self._ops.numpy(computed(slice(row, row + 1))) for row in range(rows)]
        return self._ops.array(np.concatenate(parts))


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
    """The tokenizer read and tried on texts, and `count` tokens of a conversation for the checks that follow.

    Where it does not fit the model, these are ids drawn at random.
    """
    import numpy as np

    from ossia.loading import vocabulary_of

    try:
        vocabulary = vocabulary_of(checkpoint)
    except VocabularyError as error:
        words = f"{error}; the checks that follow are of token ids drawn at random"
        # A folder without a tokenizer is whole, if only the published one does not fit it.
        passed = None if checkpoint.tokenizer is None and checkpoint.gguf_vocabulary is None else False
        drawn = np.random.default_rng(0).integers(checkpoint.config.vocab_size, size=count)
        return Finding("tokenizer", passed, words, {"size": None}), drawn.tolist()
    texts = [text for exchange in EXCHANGES for text in exchange]
    same = all(vocabulary.decode(vocabulary.encode(text)) == text for text in texts)
    words = f"{vocabulary.size:,} tokens, the round trip of {len(texts)} texts {'returns' if same else 'changes'} them"
    tokens = _conversation(vocabulary)
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


def compare_with_reference(checkpoint: "Checkpoint", exact: "Loaded", tokens: Sequence[int]) -> Finding:
    """The backend's `exact` logits of a few tokens against the reference's, where the model is small enough."""
    import numpy as np

    from ossia.loading import load_weights, parameters

    if exact.ops.name == "reference" or parameters(exact.config) > SMALL:
        why = "this is the reference" if exact.ops.name == "reference" else "the model is too large for numpy"
        return Finding("reference", None, f"not compared: {why}")
    reference = load_weights(checkpoint, backend="reference", precision="exact")
    with np.errstate(all="ignore"):  # what overflows is said below
        ours, right = (np.concatenate(list(one.logits(tokens[:128]))) for one in (exact, reference))
        error = float(np.abs(ours - right).max() / np.abs(right).max())
    if not np.isfinite(error):
        return Finding("reference", False, NO_NUMBERS, {"error": None})
    words = f"{exact.ops.name} differs by {error:.1e} of the largest logit; up to {TOLERANCE:.0e} is rounding"
    return Finding("reference", error <= TOLERANCE, words, {"error": error})


def _computed(model: "Loaded", tokens: Sequence[int], label: str) -> "Iterator[np.ndarray]":
    """The logits of the tokens, [at most ROWS, V] float32 at a time; all before the last matrix is done here."""
    import numpy as np

    with Progress(label) as progress, np.errstate(all="ignore"):  # what overflows shows in the divergence
        progress.begin()
        return model.logits(tokens, ROWS)


class Distance(NamedTuple):
    """How far the logits of one token are from those of `exact`."""

    kl: float  # KL(exact || other), nats
    same_best: bool


def _side_by_side(
    exact: "Iterator[np.ndarray]", others: "Mapping[str, Iterator[np.ndarray]]", count: int
) -> dict[str, list[Distance]]:
    """Of all tokens, as the logits come."""
    found, done = {name: list[Distance]() for name in others}, 0
    with Progress("comparing") as progress:
        for rows, *theirs in zip(exact, *others.values(), strict=True):
            for known, other in zip(found.values(), theirs, strict=True):
                known += distances(rows, other)
            done += len(rows)
            progress.show(done, count)
    return found


def distances(exact: "np.ndarray", other: "np.ndarray") -> list[Distance]:
    """Of logits [T, V] from `exact` ones."""
    import numpy as np

    with np.errstate(all="ignore"):  # what overflows shows in the divergence
        same = (exact.argmax(axis=1) == other.argmax(axis=1)).tolist()
        return [Distance(*each) for each in zip(map(_divergence, exact, other), same, strict=True)]


def divergence(found: Sequence[Distance], precision: str = "fast", cache: str = "") -> Finding:
    """How far another precision is from `exact`: the mean and the largest KL divergence, in nats, beside its bound."""
    import numpy as np

    kl = [each.kl for each in found]
    if not np.isfinite(kl).all():
        return Finding(precision, False, NO_NUMBERS, {"kl_mean": None, "kl_max": None, "tokens": len(kl)})
    same = float(np.mean([each.same_best for each in found]))
    mean, bound = float(np.mean(kl)), BOUNDS[precision]
    figures = {"kl_mean": mean, "kl_max": max(kl), "kl_mean_bound": bound, "same_best": same, "tokens": len(kl)}
    within = mean <= bound
    words = (
        f"KL(exact || {precision}{cache}) {mean:.2e} nats on average, {'within' if within else 'beyond'} the bound of "
        f"{bound:.0e}; {max(kl):.2e} at most; same best token {same:.1%} of {len(kl)}"
    )
    return Finding(precision, True if within else None, words, figures)


def _divergence(exact: "np.ndarray", other: "np.ndarray") -> float:
    """KL(exact || other) in nats, of two rows of logits [V]."""
    import numpy as np

    p, q = (_log_probabilities(row.astype(np.float64)) for row in (exact, other))
    return float(np.sum(np.exp(p) * (p - q)))


def _log_probabilities(logits: "np.ndarray") -> "np.ndarray":
    """[V] of logits [V]."""
    import numpy as np

    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())

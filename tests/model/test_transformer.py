"""The whole model against transformers, on every backend."""

import numpy as np
import pytest

from ossia.model import forward, prepare
from ossia.ops import Batch, Ops, Pages, make_ops
from tests.model.judge import Judge, make_judge, relative_error

pytestmark = pytest.mark.torch

BACKENDS = ("reference", "native", "torch")
BOUND = 1e-5  # what the three backends promise at `exact`

CASES = {
    "plain": {},
    "window of one": {"sliding_window": 1},
    "window of 100": {"sliding_window": 100},
    "sinks that take all or nothing": {"sinks": 50.0},
    "no grouping": {"num_key_value_heads": 8},
    "one key head": {"num_key_value_heads": 1},
    "one expert": {"num_experts_per_tok": 1},
    "all experts": {"num_local_experts": 4},
    "head of 64": {"head_dim": 64, "num_hidden_layers": 2},
    "low limit": {"swiglu_limit": 0.5},
    "all full": {"layer_types": ["full_attention"] * 4},
    "all sliding": {"layer_types": ["sliding_attention"] * 4},
}


@pytest.fixture(params=BACKENDS)
def ops(request: pytest.FixtureRequest) -> Ops:
    return make_ops(request.param)


def tokens_of(judge: Judge, count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, judge.config.vocab_size, count)


def our_logits(ops: Ops, judge: Judge, tokens: np.ndarray, first_position: int = 0) -> np.ndarray:
    weights = prepare(ops, judge.config, judge.tensors)
    batch = Batch.packed([tokens.tolist()])
    batch.positions[:] += first_position
    return ops.numpy(forward(ops, judge.config, weights, batch))


@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_transformers(ops: Ops, case: str) -> None:
    judge = make_judge(one_table=True, **CASES[case])
    tokens = tokens_of(judge, 150)
    assert relative_error(our_logits(ops, judge, tokens), judge.logits(tokens)) <= BOUND


def test_logits_with_the_table_of_transformers(ops: Ops) -> None:
    """Within some hundred positions the two tables of angles are near enough to compare everything at once."""
    judge = make_judge(seed=1)
    tokens = tokens_of(judge, 200)
    assert relative_error(our_logits(ops, judge, tokens), judge.logits(tokens)) <= BOUND


@pytest.mark.parametrize("first_position", [4000, 30_000, 130_900])
def test_far_positions(ops: Ops, first_position: int) -> None:
    """Beyond the context of the first training, and up to the end, on one table of angles."""
    judge = make_judge(one_table=True)
    tokens = tokens_of(judge, 120)
    found = our_logits(ops, judge, tokens, first_position)
    assert relative_error(found, judge.logits(tokens, first_position)) <= BOUND


def test_a_prompt_of_many_windows(ops: Ops) -> None:
    judge = make_judge(one_table=True, num_hidden_layers=2)
    tokens = tokens_of(judge, 1000)
    assert relative_error(our_logits(ops, judge, tokens), judge.logits(tokens)) <= BOUND


@pytest.mark.parametrize("chunks", [[150], [1] * 40, [33, 1, 64, 2], [7] * 15])
def test_pages_give_the_logits_of_the_whole(ops: Ops, chunks: list[int]) -> None:
    """A prompt in chunks over scattered pages, two requests at once, judged as wholes by transformers."""
    judge = make_judge(one_table=True)
    pair = [tokens_of(judge, sum(chunks)), tokens_of(judge, sum(chunks) + 1)[: sum(chunks)]]
    found = paged_logits(ops, judge, pair, chunks)
    for ours, tokens in zip(found, pair, strict=True):
        assert relative_error(ours, judge.logits(tokens)) <= BOUND


def paged_logits(ops: Ops, judge: Judge, sequences: list[np.ndarray], chunks: list[int], size: int = 16) -> list:
    """All logits of sequences that advance together by `chunks`, on pages dealt out at random."""
    config, count = judge.config, -(-len(sequences[0]) // size)
    pages = np.random.default_rng(0).permutation(len(sequences) * count).reshape(len(sequences), count)
    heads, width = config.num_key_value_heads, config.head_dim
    caches = [ops.new_cache(pages.size * size, size, heads, width) for _ in config.layer_types]
    weights, found, start = prepare(ops, config, judge.tensors), [], 0
    for chunk in chunks:
        batch = one_step(config.layer_types, sequences, pages.astype(np.int32), start, chunk, size)
        found.append(ops.numpy(forward(ops, config, weights, batch, caches)).reshape(len(sequences), chunk, -1))
        start += chunk
    return list(np.concatenate(found, axis=1))


def one_step(
    kinds: tuple[str, ...], sequences: list[np.ndarray], table: np.ndarray, start: int, chunk: int, size: int
) -> Batch:
    steps = np.arange(start, start + chunk, dtype=np.int32)
    positions = np.tile(steps, len(sequences))
    slots = np.concatenate([row[steps // size] * size + steps % size for row in table]).astype(np.int32)
    tokens = np.concatenate([sequence[steps] for sequence in sequences]).astype(np.int32)
    starts = np.arange(len(sequences) + 1, dtype=np.int32) * chunk
    pages = {kind: Pages(slots, table) for kind in set(kinds)}
    return Batch(tokens, positions, starts, np.arange(len(tokens), dtype=np.int32), pages, size)


def test_fast_differs_by_its_rounding_alone() -> None:
    """`fast` of the reference and of torch round at the same places: they agree far closer than either with `exact`.

    Medians, since a rounding that tips a router's choice moves that token's logits at once; one layer, since a value
    that falls to the other side of a tie in one backend travels on.
    """
    judge = make_judge(one_table=True, num_hidden_layers=1)
    tokens = tokens_of(judge, 100)
    fast = [our_logits(make_ops(backend, "fast"), judge, tokens) for backend in ("reference", "torch")]
    exact = our_logits(make_ops("reference"), judge, tokens)
    rounding = np.median(np.abs(fast[0] - exact))
    assert 2**-10 < rounding / np.abs(exact).std() < 2**-4
    assert np.median(np.abs(fast[0] - fast[1])) < rounding / 20


def test_logit_rows_are_the_rows_of_all() -> None:
    judge = make_judge()
    ops, tokens = make_ops("reference"), tokens_of(judge, 30)
    whole = Batch.packed([tokens.tolist()])
    few = Batch(whole.tokens, whole.positions, whole.starts, np.array([3, 29], np.int32))
    weights = prepare(ops, judge.config, judge.tensors)
    expected = forward(ops, judge.config, weights, whole)[[3, 29]]
    assert relative_error(forward(ops, judge.config, weights, few), expected) <= BOUND


DAMAGED = (
    *(f"self_attn.{name}_proj.{kind}" for name in "qkvo" for kind in ("weight", "bias")),
    *("self_attn.sinks", "input_layernorm.weight", "post_attention_layernorm.weight"),
    *("mlp.router.weight", "mlp.router.bias", "mlp.experts.gate_up_proj_bias", "mlp.experts.down_proj_bias"),
)


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_weight_that_is_no_number_makes_no_plausible_logits(ops: Ops, damaged: str) -> None:
    judge = make_judge(seed=2, num_local_experts=4)  # all experts active, so that none is passed by
    name = f"model.layers.0.{damaged}"
    spoilt = np.array(judge.tensors[name])
    spoilt.flat[0] = np.nan
    weights = prepare(ops, judge.config, judge.tensors | {name: spoilt})
    logits = ops.numpy(forward(ops, judge.config, weights, Batch.packed([tokens_of(judge, 20).tolist()])))
    assert np.isnan(logits).all()

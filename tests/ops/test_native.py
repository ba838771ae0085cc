"""What the native backend promises beyond the others: the same bits in any cut, and named errors for bad input."""

import gc
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from ml_dtypes import bfloat16

from ossia.errors import BackendError
from ossia.mxfp4 import Packed, decode, encode
from ossia.ops import Batch, Experts, Linear, LowRank, Pages, Precision, Role
from ossia.ops.native import NativeOps
from ossia.ops.protocol import FEW_TOKENS
from ossia.ops.reference import ReferenceOps
from tests.ops.cases import KIND, draw, mask_of, normal, reading, weight
from tests.ops.steps import Steps, instruction_sets

LIMIT = 7.0


@pytest.fixture(params=list(Precision))
def precision(request: pytest.FixtureRequest) -> Precision:
    return request.param


@pytest.fixture(params=instruction_sets())
def ops(request: pytest.FixtureRequest, precision: Precision) -> NativeOps:
    return NativeOps(precision, threads=2, isa=request.param)


class Weights:
    """One of each kind of weight, with adapters."""

    def __init__(self, ops: NativeOps) -> None:
        def kept(tensor: Any, role: Role) -> Any:
            return ops.prepare(tensor, role, "weight")

        def low_rank(seed: int, *leading: int, inner: int, outer: int) -> LowRank:
            parts = normal(seed, *leading, 2, inner), normal(seed + 1, *leading, outer, 2), normal(seed + 2, leading[0])
            return LowRank(*(kept(part, Role.VECTOR) for part in parts))

        bias = kept(normal(71, 100), Role.VECTOR)
        self.linear = Linear(kept(weight(70, 100, 96), Role.LINEAR), bias, low_rank(72, 2, inner=96, outer=100))
        self.router = Linear(kept(weight(75, 8, 96), Role.ROUTER), kept(normal(76, 8), Role.VECTOR))
        self.norm = kept(normal(77, 96), Role.VECTOR)
        gate_up = kept(encode(weight(78, 8, 128, 96, dtype=np.float32) * 4), Role.EXPERTS)
        down = kept(encode(weight(79, 8, 96, 64, dtype=np.float32) * 4), Role.EXPERTS)
        self.experts = Experts(
            Linear(gate_up, kept(normal(80, 8, 128), Role.VECTOR), low_rank(81, 2, 8, inner=96, outer=128)),
            Linear(down, kept(normal(84, 8, 96), Role.VECTOR), low_rank(85, 2, 8, inner=64, outer=96)),
        )


def row_by_row(ops: NativeOps, weights: Weights, x: np.ndarray, adapters: np.ndarray) -> list[bytes]:
    """Everything but attention of rows x [T, 96], joined for each row."""
    normed = ops.rms_norm(x, weights.norm, 1e-5)
    y = ops.linear(normed, weights.linear, adapters)
    angles = normed[:, :16]
    turned = ops.rope(y[:, :96].reshape(-1, 3, 32), np.cos(angles), np.sin(angles)).reshape(-1, 96)
    chosen, shares = ops.route(normed, weights.router, 3)
    mixed = ops.experts(normed, chosen, shares, weights.experts, LIMIT, adapters)
    return [row.tobytes() for row in np.concatenate([normed, y, turned, chosen, shares, mixed], axis=1)]


def test_every_row_is_the_same_bits_in_any_batch(ops: NativeOps):
    weights, x, adapters = Weights(ops), normal(90, 150, 96), np.arange(150, dtype=np.int32) % 3 - 1
    whole = row_by_row(ops, weights, x, adapters)
    # In `turbo` the outputs of experts, last in a row, depend on company by rounding.
    end = None if ops.batch_invariant else -x.shape[1] * 8  # integers and float32 meet in float64
    assert ops.batch_invariant is (ops.precision is not Precision.TURBO)
    for rows in (slice(0, 1), slice(7, 9), slice(11, 16), slice(40, 105)):
        found = row_by_row(ops, weights, x[rows], adapters[rows])
        assert [row[:end] for row in found] == [row[:end] for row in whole[rows]]


@pytest.mark.parametrize(("spread", "most"), [(0.0, 1.1), (2.0, 2.0)])
def test_exact_experts_of_wide_rows_lose_what_sums_in_float32_do(spread: float, most: float):
    """Beside float64, root mean square; with a spread some activations are many times larger than others."""
    packed = encode(weight(1, 2, 1536, 2880, dtype=np.float32) * 4), encode(weight(2, 2, 2880, 768, dtype=np.float32))
    x = (normal(3, 40, 2880) * np.exp(spread * normal(4, 40, 2880))).astype(np.float32)
    x /= np.sqrt(np.mean(x**2, axis=1, keepdims=True))
    shares, chosen = np.full((40, 2), 0.5, np.float32), np.tile(np.array([0, 1], np.int32), (40, 1))
    up, down = (decode(one).astype(np.float64) for one in packed)
    h = np.einsum("tc,xnc->txn", x.astype(np.float64), up)
    gate, linear = np.minimum(h[..., 0::2], LIMIT), np.clip(h[..., 1::2], -LIMIT, LIMIT)
    wanted = np.einsum("txc,xnc->tn", gate / (1 + np.exp(-1.702 * gate)) * (linear + 1), down) / 2

    def error(isa: str) -> float:
        ops = NativeOps(isa=isa)
        experts = Experts(*(Linear(ops.prepare(one, Role.EXPERTS, "w")) for one in packed))
        return float(np.sqrt(np.mean((ops.experts(x, chosen, shares, experts, LIMIT) - wanted) ** 2)))

    assert all(error(isa) <= most * error("portable") for isa in instruction_sets())


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("width", [2880, 544, 96, 32])
@pytest.mark.parametrize("tokens", [1, 2, 3, 5, 13, 40])
@pytest.mark.parametrize("precision", [Precision.FAST, Precision.TURBO])
def test_how_far_rounded_experts_are_from_exact_ones(isa: str, width: int, tokens: int, precision: Precision):
    """Whole numbers of 15 bits are ten times nearer to `exact` than bfloat16, those of 8 bits a few times further."""
    packed = encode(weight(1, 4, 128, width, dtype=np.float32) * 4), encode(weight(2, 4, width, 64, dtype=np.float32))
    x, shares = normal(3, tokens, width), np.full((tokens, 2), 0.5, np.float32)
    chosen = np.array([[row % 4, (row + 1 + row % 2) % 4] for row in range(tokens)], np.int32)

    def computed(ops: NativeOps | ReferenceOps) -> np.ndarray:
        experts = Experts(*(Linear(ops.prepare(one, Role.EXPERTS, "w")) for one in packed))
        return ops.experts(x, chosen, shares, experts, LIMIT)

    native, exact = NativeOps(precision, 2, isa), ReferenceOps()
    fast = np.abs(computed(ReferenceOps(Precision.FAST)) - computed(exact)).max()
    error = np.abs(computed(native) - computed(exact)).max()
    whole, rest = native.expert_rounding
    most = np.unique(chosen, return_counts=True)[1].max()
    if most <= whole:
        assert error <= fast / 5
        if most <= FEW_TOKENS:
            # Both sum in float32 what is mostly exact: closer than bfloat16 by two orders.
            turbo, words = (computed(ReferenceOps(each)) for each in (Precision.TURBO, Precision.FAST))
            assert np.abs(computed(native) - turbo).max() <= np.abs(words - turbo).max() / 20
    else:
        assert fast / 5 <= error <= fast * {"bf16": 2, "int8": 8}[rest]


def test_every_row_is_the_same_bits_with_any_threads(precision: Precision):
    x, adapters = normal(90, 150, 96), np.arange(150, dtype=np.int32) % 3 - 1
    first, *others = (NativeOps(precision, threads) for threads in (1, 2, 5))
    whole = row_by_row(first, Weights(first), x, adapters)
    for ops in others:
        assert row_by_row(ops, Weights(ops), x, adapters) == whole


def test_exact_is_the_same_bits_wherever_products_are_fused():
    """The lanes are the same on AVX2, AVX-512 and NEON, so are the sums; plain C++ may round products apart.

    Experts, last in a row, are the same wherever their inputs are whole numbers, and wherever they are not.
    """
    experts, others, attention = {}, [], []
    for isa in (isa for isa in instruction_sets() if isa != "portable"):
        ops, x = NativeOps(isa=isa), normal(90, 20, 96)
        rows = row_by_row(ops, Weights(ops), x, np.zeros(20, np.int32))
        end = -x.shape[1] * 8  # integers and float32 meet in float64
        others.append([row[:end] for row in rows])
        whole = NativeOps(Precision.TURBO, isa=isa).expert_rounding.whole_tokens > 0
        assert experts.setdefault(whole, rows) == rows
        attention.append(Steps(ops, 50).alone())
    assert all(each == others[0] for each in others)
    assert all(each == attention[0] for each in attention)


def test_draws_are_the_same_whatever_the_threads_and_the_batch():
    logits = normal(91, 6, 20000, scale=3.0)
    changes = {"temperature": 0.9, "top_p": 0.9, "logprobs": True, "top_logprobs": 3}
    alone, together = NativeOps(threads=1), draw(6, **changes)
    whole = alone.sample(*reading(alone, logits), together)
    for threads in (2, 3):
        ops = NativeOps(threads=threads)
        for row in range(6):
            one = draw(1, **changes, seed=np.array([row], np.uint64), position=np.array([row], np.int64))
            found = ops.sample(*reading(ops, logits[row : row + 1]), one)
            assert found.tokens[0] == whole.tokens[row]
            assert found.logprobs is not None
            assert whole.logprobs is not None
            assert found.logprobs[0] == whole.logprobs[row]


# Bad input ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def any_ops() -> NativeOps:
    return NativeOps(threads=2)


@pytest.mark.parametrize("threads", [0, -1, 1 << 40, "2", True, 2.0])
def test_a_number_of_threads_that_cannot_be(threads: Any):
    with pytest.raises(BackendError, match="threads cannot be"):
        NativeOps(threads=threads)


REFUSED = """
import resource
from ossia.errors import BackendError
from ossia.ops.native import NativeOps
NativeOps(threads=1)
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
try:
    NativeOps(threads=1000)
except BackendError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are kept elsewhere, too, but not by threads")
def test_threads_that_the_system_refuses_are_an_error_and_no_crash():
    done = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the system gives no memory or no threads, 1000; fewer threads are right\n"


def test_an_unknown_instruction_set():
    with pytest.raises(BackendError, match="instruction set avx9000: an instruction set that this processor lacks"):
        NativeOps(isa="avx9000")


@pytest.mark.parametrize("expert", [-1, 8, 2**31 - 1, -(2**31)])
def test_an_expert_that_is_not_there(any_ops: NativeOps, expert: int):
    chosen = np.array([[0, expert]], np.int32)
    with pytest.raises(BackendError, match=f"expert {expert} is outside; at least 0 and below 8"):
        any_ops.experts(normal(0, 1, 96), chosen, np.ones((1, 2), np.float32), Weights(any_ops).experts, LIMIT)


@pytest.mark.parametrize("adapter", [-2, 2, 2**31 - 1])
def test_an_adapter_that_is_not_loaded(any_ops: NativeOps, adapter: int):
    weights, adapters = Weights(any_ops), np.array([0, adapter], np.int32)
    with pytest.raises(BackendError, match="an index outside its range"):
        any_ops.linear(normal(0, 2, 96), weights.linear, adapters)
    with pytest.raises(BackendError, match="an index outside its range"):
        any_ops.experts(
            normal(0, 2, 96), np.zeros((2, 1), np.int32), np.ones((2, 1), np.float32), weights.experts, LIMIT, adapters
        )


def test_widths_that_do_not_fit(any_ops: NativeOps):
    weights = Weights(any_ops)
    with pytest.raises(BackendError, match="linear: rows of 95 where 96 is right"):
        any_ops.linear(normal(0, 2, 95), weights.linear)
    with pytest.raises(BackendError, match="rms_norm: rows of 97 where 96 is right"):
        any_ops.rms_norm(normal(0, 2, 97), weights.norm, 1e-5)
    with pytest.raises(BackendError, match="adapters of 3 tokens for 2"):
        any_ops.linear(normal(0, 2, 96), weights.linear, np.zeros(3, np.int32))
    with pytest.raises(BackendError, match="rope: rows of 3 where 2 is right"):
        any_ops.rope(normal(0, 2, 1, 4), normal(0, 2, 3), normal(0, 2, 3))
    with pytest.raises(BackendError, match="a bias of 99 values for 1 x 100 rows"):
        any_ops.linear(
            normal(0, 2, 96), Linear(weights.linear.weight, any_ops.prepare(normal(0, 99), Role.VECTOR, "b"))
        )


@pytest.mark.parametrize("active", [0, 9])
def test_more_experts_than_there_are(any_ops: NativeOps, active: int):
    with pytest.raises(BackendError, match=f"the choice of {active} among 8 experts"):
        any_ops.route(normal(0, 1, 96), Weights(any_ops).router, active)


def batch_of(**changes: Any) -> Batch:
    """A step of four tokens of one request on two pages of two, with one thing wrong."""
    parts: dict[str, Any] = {
        "positions": np.arange(4, dtype=np.int32),
        "starts": np.array([0, 4], np.int32),
        "slots": np.arange(4, dtype=np.int32),
        "table": np.array([[0, 1]], np.int32),
        "page_size": 2,
    } | changes
    pages = {KIND: Pages(parts["slots"], parts["table"])}
    rows = np.zeros(1, np.int32)
    return Batch(np.zeros(4, np.int32), parts["positions"], parts["starts"], rows, pages, parts["page_size"])


HOSTILE = {
    "a slot beyond the cache": {"slots": np.array([0, 1, 2, 6], np.int32)},
    "a slot below -1": {"slots": np.array([0, 1, 2, -2], np.int32)},
    "a page beyond the cache": {"table": np.array([[0, 3]], np.int32)},
    "no page for a key": {"table": np.array([[-1, 1]], np.int32)},
    "no column for a key": {"table": np.array([[0]], np.int32)},
    "positions with a gap": {"positions": np.array([0, 1, 3, 4], np.int32)},
    "positions below 0": {"positions": np.arange(-1, 3, dtype=np.int32)},
    "positions near the end of int32": {"positions": np.arange(2**31 - 4, 2**31, dtype=np.int64).astype(np.int32)},
    "starts beyond the tokens": {"starts": np.array([0, 5], np.int32)},
    "starts that fall": {"starts": np.array([0, 4, 2], np.int32), "table": np.array([[0, 1]] * 2, np.int32)},
    "starts that begin late": {"starts": np.array([1, 4], np.int32)},
    "too few slots": {"slots": np.arange(3, dtype=np.int32)},
    "too few rows of pages": {"table": np.zeros((0, 2), np.int32)},
    "another page size": {"page_size": 4},
}


@pytest.mark.parametrize("wrong", HOSTILE)
def test_steps_that_cannot_be(any_ops: NativeOps, wrong: str):
    cache = any_ops.new_cache(6, 2, 1, 8)
    sinks = any_ops.prepare(normal(1, 2), Role.VECTOR, "sinks")
    arguments = normal(2, 4, 2, 8), normal(3, 4, 1, 8), normal(4, 4, 1, 8), sinks, cache
    any_ops.attend(*arguments, batch_of(), KIND, None)
    with pytest.raises(BackendError):
        any_ops.attend(*arguments, batch_of(**HOSTILE[wrong]), KIND, None)


def test_heads_that_do_not_fit(any_ops: NativeOps):
    cache, sinks = any_ops.new_cache(6, 2, 2, 8), any_ops.prepare(normal(1, 3), Role.VECTOR, "sinks")
    with pytest.raises(BackendError, match="a size or a type that cannot be"):
        any_ops.attend(normal(2, 4, 3, 8), normal(3, 4, 2, 8), normal(4, 4, 2, 8), sinks, cache, batch_of(), KIND, None)
    with pytest.raises(BackendError, match="do not fit together"):
        any_ops.attend(normal(2, 4, 3, 8), normal(3, 4, 1, 8), normal(4, 4, 2, 8), sinks, cache, batch_of(), KIND, None)


@pytest.mark.parametrize(("slots", "page_size"), [(7, 2), (8, 0), (8, -1)])
def test_caches_that_cannot_be(any_ops: NativeOps, slots: int, page_size: int):
    with pytest.raises(BackendError, match="not whole pages"):
        any_ops.new_cache(slots, page_size, 1, 8)


@pytest.mark.parametrize(("heads", "width"), [(0, 8), (1, 0), (1, 7), (1, 1 << 20)])
def test_heads_of_a_cache_that_cannot_be(any_ops: NativeOps, heads: int, width: int):
    with pytest.raises(BackendError, match="can be kept"):
        any_ops.new_cache(8, 2, heads, width)


@pytest.mark.parametrize("page", [-1, 4])
def test_pages_that_are_not_there(any_ops: NativeOps, page: int):
    cache = any_ops.new_cache(8, 2, 1, 8)
    with pytest.raises(BackendError, match="there are pages 0 to 3"):
        any_ops.read_page(cache, 2, page)
    with pytest.raises(BackendError, match="there are pages 0 to 3"):
        any_ops.write_page(cache, 2, page, any_ops.read_page(cache, 2, 0))


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": -1.0},
        {"temperature": np.nan},
        {"temperature": np.inf},
        {"top_k": -1},
        {"top_p": np.nan},
        {"bias_starts": np.array([0, 1, 1], np.int32), "bias_tokens": np.array([40]), "bias_values": np.zeros(1)},
        {"bias_starts": np.array([0, 1, 1], np.int32), "bias_tokens": np.array([-1]), "bias_values": np.zeros(1)},
        {"bias_starts": np.array([0, 2, 1], np.int32), "bias_tokens": np.zeros(2), "bias_values": np.zeros(2)},
        {"bias_starts": np.array([0, 1, 2], np.int32), "bias_tokens": np.zeros(1), "bias_values": np.zeros(2)},
        {"bias_starts": np.array([-1, 1, 1], np.int32), "bias_tokens": np.zeros(1), "bias_values": np.zeros(1)},
        {"mask": mask_of([[1]], 40)},
        {"mask": mask_of([[1], [1]], 32)},
        {"top_logprobs": 41},
        {"top_k": np.ones(3, np.int32)},
    ],
    ids=str,
)
def test_draws_that_cannot_be(any_ops: NativeOps, changes: dict[str, Any]):
    with pytest.raises(BackendError, match="sample"):
        any_ops.sample(*reading(any_ops, normal(0, 2, 40)), draw(2, **{"logprobs": True} | changes))


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int8])
def test_weights_of_other_types(any_ops: NativeOps, dtype: Any):
    with pytest.raises(BackendError, match=r"some\.weight: .* is not computed with; bfloat16 or float32 is right"):
        any_ops.prepare(np.zeros((2, 2), dtype), Role.LINEAR, "some.weight")


# Memory ------------------------------------------------------------------------------------------


def test_weights_are_used_where_they_lie(any_ops: NativeOps):
    packed, dense = encode(np.ones((2, 4, 32), np.float32)), weight(0, 8, 96)
    assert np.shares_memory(any_ops.prepare(packed, Role.EXPERTS, "w").values, packed.blocks)
    for role in (Role.LINEAR, Role.EMBEDDING, Role.UNEMBEDDING, Role.ROUTER):
        assert np.shares_memory(any_ops.prepare(dense, role, "w").values, dense)


def test_a_weight_outlives_the_name_it_came_by(any_ops: NativeOps):
    values, x = weight(1, 300, 960), normal(2, 1, 960)
    expected = any_ops.linear(x, Linear(any_ops.prepare(values, Role.LINEAR, "w")))
    projection = Linear(any_ops.prepare(values.copy(), Role.LINEAR, "w"))
    gc.collect()
    np.testing.assert_array_equal(any_ops.linear(x, projection), expected)


def test_arrays_that_are_no_plain_rows_are_read_right(any_ops: NativeOps):
    """Transposed, strided, read-only and float64 inputs."""
    values, x = weight(1, 30, 40, dtype=np.float32), normal(2, 6, 80)[::2, ::2]
    frozen = np.ascontiguousarray(x)
    frozen.flags.writeable = False
    projection = Linear(any_ops.prepare(np.asfortranarray(values), Role.LINEAR, "w"))
    expected = any_ops.linear(np.ascontiguousarray(x), Linear(any_ops.prepare(values, Role.LINEAR, "w")))
    for other in (x, frozen, x.astype(np.float64), np.asfortranarray(x)):
        np.testing.assert_array_equal(any_ops.linear(other, projection), expected)


def test_a_weight_with_another_bias(any_ops: NativeOps):
    kept, x = any_ops.prepare(weight(1, 30, 40), Role.LINEAR, "w"), normal(2, 1, 40)
    biases = [any_ops.prepare(normal(seed, 30), Role.VECTOR, "b") for seed in (3, 4)]
    results = [any_ops.linear(x, Linear(kept, bias)) for bias in (*biases, None, biases[0])]
    np.testing.assert_array_equal(results[0], results[3])
    np.testing.assert_allclose(results[0] - biases[0].array, results[2], atol=1e-5)
    assert not np.array_equal(results[0], results[1])


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize(("rows", "columns"), [(37, 300), (64, 2880), (5, 64), (1, 1)])
def test_products_in_8_bits_are_the_reference_s_to_the_bit(isa: str, rows: int, columns: int):
    ops, reference = NativeOps(Precision.FAST, threads=2, isa=isa), ReferenceOps(Precision.FAST)
    values, bias = weight(1, rows, columns), normal(2, rows)
    rounded = ops.round_int8(values)
    np.testing.assert_array_equal(rounded.panels, reference.round_int8(values).panels)
    for tokens in (1, 2, 9, 40):
        x = normal(tokens, tokens, columns)
        results = []
        for backend in (ops, reference):
            weights = backend.prepare(rounded, Role.LINEAR, "w"), backend.prepare(bias, Role.VECTOR, "b")
            results.append(backend.linear(x, Linear(*weights)))
        np.testing.assert_array_equal(results[0], results[1])


def test_a_step_is_forgotten_with_its_batch(any_ops: NativeOps):
    """Packed sequences get a cache of their own, which would otherwise stay until the next batch."""
    steps = Steps(any_ops, None)
    batch = Batch.packed([[0] * length for length in Steps.LENGTHS])
    any_ops.attend(*steps.parts, steps.sinks, None, batch, KIND, None)
    del batch
    gc.collect()
    assert any_ops._steps == {}


def test_embedding_rows_in_bfloat16(any_ops: NativeOps):
    table = np.arange(12, dtype=np.float32).reshape(4, 3).astype(bfloat16)
    kept = any_ops.prepare(table, Role.EMBEDDING, "e")
    np.testing.assert_array_equal(any_ops.embed(kept, np.array([3, 0])), [[9, 10, 11], [0, 1, 2]])


def test_packed_experts_are_refused_elsewhere(any_ops: NativeOps):
    packed: Packed = encode(np.ones((2, 32), np.float32))
    with pytest.raises(BackendError, match="packed MXFP4 is for experts"):
        any_ops.prepare(packed, Role.VECTOR, "w")

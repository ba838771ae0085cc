"""What makes a backend one: every operation against its judge, over shapes, dtypes, precisions and adapters."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from ml_dtypes import bfloat16

from ossia.errors import BackendError, TensorError
from ossia.int8 import decode as decode_int8
from ossia.int8 import round_activations
from ossia.mxfp4 import Packed, decode, encode
from ossia.ops import Experts, Linear, LowRank, Ops, Precision, Role
from tests.ops import judges
from tests.ops.cases import normal, weight

DTYPES = [bfloat16, np.float32]
LIMIT = 7.0


def linear_of(
    ops: Ops, values: np.ndarray, bias: np.ndarray | None, role: Role = Role.LINEAR, adapters: LowRank | None = None
) -> Linear:
    kept = None if bias is None else ops.prepare(bias, Role.VECTOR, "bias")
    return Linear(ops.prepare(values, role, "weight"), kept, adapters)


def low_rank_of(ops: Ops, *arrays: np.ndarray) -> LowRank:
    return LowRank(*(ops.prepare(array, Role.VECTOR, "adapter") for array in arrays))


def precision_of(ops: Ops, role: Role) -> Precision:
    return Precision.EXACT if role is Role.ROUTER else ops.precision


@pytest.mark.parametrize("operation", [name for name in vars(Ops) if not name.startswith("_") and name[0].islower()])
def test_docstrings_begin_with_shapes(operation: str):
    member = getattr(Ops, operation)
    others = ("prepare", "first_with", "array", "numpy", "new_cache", "read_page", "write_page", "read_ahead")
    if callable(member) and operation not in others:
        assert re.match(r"\[.*\].* -> \[.*\]", member.__doc__ or "")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 24, 96])
def test_embed_gives_the_rows(ops: Ops, dtype: Any, width: int):
    table = weight(0, 50, width, dtype=dtype)
    tokens = np.array([49, 0, 7, 7], np.int32)
    x = ops.numpy(ops.embed(ops.prepare(table, Role.EMBEDDING, "embedding"), tokens))
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, table[tokens].astype(np.float32))


@pytest.mark.parametrize("tokens", [[50], [-1], [3, 2**31 - 1], [-(2**31)]])
def test_embed_refuses_a_token_beyond_the_vocabulary(ops: Ops, tokens: list[int]):
    table = ops.prepare(weight(0, 50, 24), Role.EMBEDDING, "embedding")
    with pytest.raises(BackendError, match=r"token .* 50"):
        ops.embed(table, np.array(tokens, np.int32))


@pytest.mark.parametrize("rows", [0, 1, 5])
@pytest.mark.parametrize("width", [1, 16, 90, 2880])
@pytest.mark.parametrize("size", [1e-18, 1.0, 1e15])
def test_rms_norm(ops: Ops, rows: int, width: int, size: float):
    x, scale = normal(1, rows, width, scale=size), normal(2, width)
    y = ops.rms_norm(ops.array(x), ops.prepare(scale, Role.VECTOR, "norm"), 1e-5)
    judges.rms_norm(x, scale, 1e-5).check(ops.numpy(y))


@pytest.mark.parametrize("role", [Role.LINEAR, Role.UNEMBEDDING])
@pytest.mark.parametrize(
    ("rows", "columns", "tokens"), [(1, 1, 1), (7, 30, 3), (33, 96, 1), (48, 2880, 2), (65, 300, 17), (32, 64, 0)]
)
@pytest.mark.parametrize("adapted", [True, False])
def test_linear_in_8_bits(ops: Ops, role: Role, rows: int, columns: int, tokens: int, adapted: bool):
    x, rounded = normal(3, tokens, columns), ops.round_int8(weight(4, rows, columns))
    if ops.precision is Precision.EXACT:
        with pytest.raises(BackendError, match=rf"w: a matrix in 8 bits, as {role} at exact; one of"):
            ops.prepare(rounded, role, "w")
        return
    bias, a, b, scale = normal(5, rows), normal(6, 2, 4, columns), normal(7, 2, rows, 4), normal(8, 2)
    adapters = np.arange(tokens, dtype=np.int32) % 3 - 1 if adapted else None
    low_rank = low_rank_of(ops, a, b, scale) if adapted else None
    own = Linear(ops.prepare(rounded, role, "w"), ops.prepare(bias, Role.VECTOR, "bias"), low_rank)
    y = ops.numpy(ops.linear(ops.array(x), own, adapters))
    values, seen = decode_int8(rounded).astype(np.float64), in_whole_numbers(ops, role, x)
    judge = judges.linear(seen.value, values, bias)
    judge = judge._replace(bound=judge.bound + seen.bound @ np.abs(values).T)
    for token, one in enumerate([] if adapters is None else adapters):
        if one >= 0:
            narrow = judges.rounded(x[token : token + 1], ops.precision)
            term = judges.low_rank(narrow, a[one], b[one], float(scale[one]))
            judge.value[token] += term.value[0]
            judge.bound[token] += term.bound[0] + 2.0**-24 * np.abs(judge.value[token])
    # A weight and an activation are made of their number and scale by a rounding each.
    judge._replace(bound=judge.bound * (1 + 4 / (columns + 2))).check(y)


def in_whole_numbers(ops: Ops, role: Role, x: np.ndarray) -> judges.Judged:
    """What `linear` sees of x [T, C] beside a weight in 8 bits."""
    numbers, unit = round_activations(x)
    whole, most = numbers * unit[:, None].astype(np.float64), ops.most_whole_tokens
    if role is Role.UNEMBEDDING or most is None or len(x) <= most:
        return judges.Judged(whole, np.zeros_like(whole))
    rows = [judges.coarse(judges.Judged(row, np.zeros_like(row)), 64) for row in whole]
    return judges.Judged(*map(np.stack, zip(*rows, strict=True)))


@pytest.mark.parametrize("role", [Role.EMBEDDING, Role.ROUTER, Role.EXPERTS, Role.VECTOR])
def test_8_bits_are_refused_where_none_are_computed_with(ops: Ops, role: Role):
    with pytest.raises(BackendError, match=rf"w: a matrix in 8 bits, as {role}"):
        ops.prepare(ops.round_int8(weight(4, 5, 64)), role, "w")


@pytest.mark.parametrize("role", [Role.LINEAR, Role.UNEMBEDDING])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("rows", "columns", "tokens"), [(1, 1, 1), (7, 30, 3), (33, 96, 1), (48, 2880, 2), (65, 100, 17), (32, 64, 0)]
)
@pytest.mark.parametrize("biased", [True, False])
def test_linear(ops: Ops, role: Role, dtype: Any, rows: int, columns: int, tokens: int, biased: bool):
    x, values = normal(3, tokens, columns), weight(4, rows, columns, dtype=dtype)
    bias = normal(5, rows) if biased else None
    y = ops.linear(ops.array(x), linear_of(ops, values, bias, role))
    judges.linear(judges.rounded(x, ops.precision), values, bias).check(ops.numpy(y))


@pytest.mark.parametrize("dtype", DTYPES)
def test_linear_with_adapters(ops: Ops, dtype: Any):
    adapters = np.array([1, -1, 0, 1, 2, -1], np.int32)
    x, values, bias = normal(3, 6, 40), weight(4, 24, 40, dtype=dtype), normal(5, 24)
    a, b, scale = weight(6, 3, 5, 40, dtype=np.float32), weight(7, 3, 24, 5, dtype=np.float32), normal(8, 3)
    projection = linear_of(ops, values, bias, adapters=low_rank_of(ops, a, b, scale))
    y = ops.numpy(ops.linear(ops.array(x), projection, adapters))
    x = judges.rounded(x, ops.precision)
    for row, adapter in enumerate(adapters):
        judged = judges.linear(x[row], values, bias)
        if adapter >= 0:
            term = judges.low_rank(x[row], a[adapter], b[adapter], float(scale[adapter]))
            judged = judges.Judged(judged.value + term.value, judged.bound + term.bound + judges.U * abs(judged.value))
        judged.check(y[row])


def test_linear_without_adapters_in_the_batch_ignores_those_loaded(ops: Ops):
    x, values = normal(3, 2, 40), weight(4, 24, 40)
    terms = low_rank_of(ops, normal(6, 1, 2, 40), normal(7, 1, 24, 2), np.ones(1, np.float32))
    with_terms = ops.linear(ops.array(x), linear_of(ops, values, None, adapters=terms))
    np.testing.assert_array_equal(
        ops.numpy(with_terms), ops.numpy(ops.linear(ops.array(x), linear_of(ops, values, None)))
    )


@pytest.mark.parametrize(("heads", "width"), [(1, 2), (3, 24), (8, 64), (2, 128)])
def test_rope(ops: Ops, heads: int, width: int):
    x, angles = normal(9, 5, heads, width), normal(10, 5, width // 2, scale=100.0)
    cos, sin = np.cos(angles) * np.float32(1.3), np.sin(angles) * np.float32(1.3)
    y = ops.rope(ops.array(x), ops.array(cos), ops.array(sin))
    judges.rope(x, cos, sin).check(ops.numpy(y))


@pytest.mark.parametrize(("experts", "active"), [(2, 1), (2, 2), (32, 4), (128, 4), (33, 8)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_route(ops: Ops, experts: int, active: int, dtype: Any):
    x, values, bias = normal(11, 9, 60), weight(12, experts, 60, dtype=dtype), normal(13, experts)
    chosen, shares = (
        ops.numpy(array) for array in ops.route(ops.array(x), linear_of(ops, values, bias, Role.ROUTER), active)
    )
    scores = judges.linear(x, values, bias)
    assert chosen.dtype == np.int32
    for row in range(9):
        value, bound = scores.value[row], scores.bound[row].max()
        best = np.argsort(-value, kind="stable")[:active]
        assert len(set(chosen[row].tolist())) == active
        assert np.all(np.abs(value[chosen[row]] - value[best]) <= 2 * bound), "another expert scores higher"
        exact = np.exp(value[chosen[row]] - value[chosen[row]].max())
        judges.Judged(exact / exact.sum(), (4 * bound + 3 * judges.FUNCTION) * exact / exact.sum()).check(shares[row])


def test_route_gives_equal_scores_to_the_lower_expert(ops: Ops):
    router = linear_of(
        ops, np.zeros((40, 8), np.float32), np.repeat(np.array([1, 3, 3, 2], np.float32), 10), Role.ROUTER
    )
    chosen, shares = ops.route(ops.array(normal(0, 3, 8)), router, 4)
    np.testing.assert_array_equal(ops.numpy(chosen), [[10, 11, 12, 13]] * 3)
    np.testing.assert_allclose(ops.numpy(shares), 0.25, rtol=judges.FUNCTION)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_route_of_what_is_no_number_still_names_experts(ops: Ops, bad: float):
    chosen, _ = ops.route(
        ops.array(np.full((2, 8), bad, np.float32)), linear_of(ops, weight(0, 5, 8), None, Role.ROUTER), 3
    )
    assert all(sorted(set(row)) == sorted(row) and set(row) <= set(range(5)) for row in ops.numpy(chosen).tolist())


def test_a_score_that_is_no_number_makes_the_shares_so(ops: Ops):
    damaged = weight(0, 5, 8)
    damaged[1, 3] = np.nan
    _, shares = ops.route(ops.array(normal(0, 3, 8)), linear_of(ops, damaged, None, Role.ROUTER), 3)
    assert np.isnan(ops.numpy(shares)).all()


class Mixture:
    """Random experts, with the matrices that the judge multiplies by."""

    def __init__(self, experts: int, width: int, inner: int, dtype: Any) -> None:
        self.gate_up, self.gate_up_values = self.stack(20, dtype, experts, 2 * inner, width)
        self.down, self.down_values = self.stack(21, dtype, experts, width, inner)
        self.gate_up_bias, self.down_bias = normal(22, experts, 2 * inner), normal(23, experts, width)

    @staticmethod
    def stack(seed: int, dtype: Any, *shape: int) -> tuple[np.ndarray | Packed, np.ndarray]:
        values = weight(seed, *shape, dtype=np.float32 if dtype is Packed else dtype) * 4
        if dtype is not Packed:
            return values.astype(dtype), values.astype(dtype).astype(np.float32)
        packed = encode(values)
        return packed, decode(packed)

    def prepared(self, ops: Ops, *terms: LowRank | None) -> Experts:
        gate_up_terms, down_terms = terms or (None, None)
        return Experts(
            linear_of(ops, self.gate_up, self.gate_up_bias, Role.EXPERTS, gate_up_terms),  # type: ignore[arg-type]
            linear_of(ops, self.down, self.down_bias, Role.EXPERTS, down_terms),  # type: ignore[arg-type]
        )

    def check(
        self,
        y: np.ndarray,
        x: np.ndarray,
        chosen: np.ndarray,
        shares: np.ndarray,
        ops: Ops,
        terms: Any = None,
    ) -> None:
        """Every token's row; `terms(row)` are those of the token's adapter, None where it has none."""
        found, counts = np.unique(chosen, return_counts=True)
        tokens = dict(zip(found.tolist(), counts.tolist(), strict=True))
        for row in range(len(x)):
            own = None if terms is None else terms(row)
            self.judged(x[row], chosen[row], shares[row], ops, own, tokens).check(y[row])

    def in_whole(self, ops: Ops, tokens: int) -> Callable[[judges.Judged], judges.Judged] | None:
        """How the inputs of an expert that so many tokens chose are rounded; None: to bfloat16, or not at all."""
        whole, rest = ops.expert_rounding
        if not isinstance(self.gate_up, Packed) or (tokens > whole and rest != "int8"):
            return None
        return judges.whole if tokens <= whole else judges.coarse

    def judged(
        self,
        x: np.ndarray,
        chosen: np.ndarray,
        shares: np.ndarray,
        ops: Ops,
        terms: Any,
        tokens: Mapping[int, int],
    ) -> judges.Judged:
        """One token's sum over its experts; `terms` are (a, b, scale, a, b, scale) of its adapter.

        `tokens` says how many chose each expert.
        """
        precision = ops.precision
        value, bound = np.zeros(len(x)), np.zeros(len(x))
        for expert, share in zip(chosen.tolist(), shares.astype(np.float64), strict=True):
            own = None
            if terms is not None:
                a, b, scale, *down = (part if np.ndim(part) == 0 else part[expert] for part in terms)
                own = (judges.low_rank(judges.rounded(x, precision), a, b, scale), *down)
            y = judges.expert(
                x,
                (self.gate_up_values[expert], self.gate_up_bias[expert]),
                (self.down_values[expert], self.down_bias[expert]),
                LIMIT,
                precision,
                own,
                in_whole=self.in_whole(ops, tokens[expert]),
            )
            value += share * y.value
            bound += np.abs(share) * (y.bound + (len(chosen) + 1) * judges.U * np.abs(y.value))
        return judges.Judged(value, bound)


@pytest.mark.parametrize("dtype", [Packed, bfloat16, np.float32])
@pytest.mark.parametrize(
    ("experts", "active", "width", "inner", "tokens"),
    [(2, 1, 32, 32, 1), (4, 2, 96, 64, 5), (32, 4, 64, 96, 40), (3, 3, 160, 32, 2), (4, 2, 64, 32, 0)],
)
def test_experts(ops: Ops, dtype: Any, experts: int, active: int, width: int, inner: int, tokens: int):
    mixture, x = Mixture(experts, width, inner, dtype), normal(24, tokens, width)
    rng = np.random.default_rng(25)
    chosen = np.array([rng.permutation(experts)[:active] for _ in range(tokens)], np.int32).reshape(tokens, active)
    shares = rng.dirichlet(np.ones(active), tokens).astype(np.float32).reshape(tokens, active)
    y = ops.numpy(ops.experts(ops.array(x), ops.array(chosen), ops.array(shares), mixture.prepared(ops), LIMIT))
    assert y.shape == (tokens, width)
    mixture.check(y, x, chosen, shares, ops)


@pytest.mark.parametrize("tokens", [1, 2, 3, 1026])
def test_turbo_counts_the_tokens_of_an_expert(ops: Ops, tokens: int):
    """Of 1,026 tokens that chose one expert, the first 1,024 are counted together, and the last two."""
    mixture, x = Mixture(2, 96, 64, Packed), normal(24, tokens, 96)
    chosen, shares = np.ones((tokens, 1), np.int32), np.ones((tokens, 1), np.float32)
    y = ops.numpy(ops.experts(ops.array(x), ops.array(chosen), ops.array(shares), mixture.prepared(ops), LIMIT))
    for row in (0, tokens - 1):
        counted = min(tokens, 1024) if row < 1024 else tokens - 1024
        mixture.judged(x[row], chosen[row], shares[row], ops, None, {1: counted}).check(y[row])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_experts_of_what_is_no_number_give_none(ops: Ops, bad: float):
    mixture, x = Mixture(4, 96, 64, Packed), normal(24, 2, 96)
    x[0, 5] = bad
    chosen, shares = np.array([[0, 2], [1, 2]], np.int32), np.full((2, 2), 0.5, np.float32)
    y = ops.numpy(ops.experts(ops.array(x), ops.array(chosen), ops.array(shares), mixture.prepared(ops), LIMIT))
    assert np.isnan(y[0]).any()
    assert np.isfinite(y[1]).all()


@pytest.mark.parametrize("dtype", [bfloat16, np.float32])
def test_experts_of_odd_widths(ops: Ops, dtype: Any):
    mixture, x = Mixture(3, 50, 23, dtype), normal(24, 4, 50)
    chosen, shares = np.array([[0, 2], [1, 0], [2, 1], [0, 1]], np.int32), np.full((4, 2), 0.5, np.float32)
    y = ops.numpy(ops.experts(ops.array(x), ops.array(chosen), ops.array(shares), mixture.prepared(ops), LIMIT))
    mixture.check(y, x, chosen, shares, ops)


@pytest.mark.parametrize("dtype", [Packed, bfloat16])
def test_experts_with_adapters(ops: Ops, dtype: Any):
    mixture, x = Mixture(4, 64, 32, dtype), normal(24, 4, 64)
    rank, adapters = 3, np.array([0, -1, 1, 0], np.int32)
    terms = [normal(30, 2, 4, rank, 64), normal(31, 2, 4, 64, rank), normal(32, 2)]
    terms += [normal(33, 2, 4, rank, 32), normal(34, 2, 4, 64, rank), normal(35, 2)]
    prepared = mixture.prepared(ops, low_rank_of(ops, *terms[:3]), low_rank_of(ops, *terms[3:]))
    chosen, shares = np.array([[3, 1], [0, 2], [2, 1], [1, 3]], np.int32), np.full((4, 2), 0.5, np.float32)
    y = ops.numpy(ops.experts(ops.array(x), ops.array(chosen), ops.array(shares), prepared, LIMIT, adapters))

    def own(row: int) -> list[Any] | None:
        return None if adapters[row] < 0 else [part[adapters[row]] for part in terms]

    mixture.check(y, x, chosen, shares, ops, own)


@pytest.mark.parametrize("size", [0.0, 1e-3, 30.0, 1e30])
def test_experts_at_the_ends_of_swiglu(ops: Ops, size: float):
    """Gates and ups far beyond the limit on both sides, and none at all."""
    mixture, x = Mixture(2, 32, 32, Packed), normal(24, 3, 32, scale=size)
    chosen, shares = np.array([[0], [1], [0]], np.int32), np.ones((3, 1), np.float32)
    y = ops.numpy(ops.experts(ops.array(x), ops.array(chosen), ops.array(shares), mixture.prepared(ops), LIMIT))
    assert np.all(np.isfinite(y))
    mixture.check(y, x, chosen, shares, ops)


@pytest.mark.parametrize("role", [Role.LINEAR, Role.EMBEDDING, Role.UNEMBEDDING, Role.ROUTER, Role.VECTOR])
def test_packed_weights_are_for_experts(ops: Ops, role: Role):
    with pytest.raises(BackendError, match=r"some\.weight: packed MXFP4 is for experts"):
        ops.prepare(encode(np.ones((2, 32), np.float32)), role, "some.weight")


def test_a_scale_that_is_no_number_is_refused(ops: Ops):
    packed = encode(np.ones((3, 4, 64), np.float32))
    packed.scales[1, 2, 1] = 255
    with pytest.raises(TensorError, match=r"mlp.experts: the scale of block \[1, 2, 1\] is 255"):
        ops.prepare(packed, Role.EXPERTS, "mlp.experts")

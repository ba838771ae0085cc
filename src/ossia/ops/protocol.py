"""The contract between the model and whatever computes it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from ossia.errors import BackendError
from ossia.int4 import Int4, Screened
from ossia.int8 import Int8
from ossia.mxfp4 import Packed
from ossia.ops.batch import Batch
from ossia.ops.sampling import Draw, Drawn

__all__ = [
    "Array",
    "Cache",
    "CacheDtype",
    "ExpertRounding",
    "Experts",
    "Handle",
    "Linear",
    "LowRank",
    "Ops",
    "Precision",
    "Role",
    "check_kind",
    "few_chose",
]

Array = Any
"""float32 (or int32 where said): a numpy array, or a tensor in the torch backend."""

Handle = Any
"""A weight as its backend keeps it; only that backend looks inside."""

Cache = Any
"""The keys and values of one layer, [S, K, E] each, laid out as its backend likes."""


class Precision(StrEnum):
    """How much a backend may round; see the package's docstring."""

    EXACT = "exact"
    FAST = "fast"
    TURBO = "turbo"


FEW_TOKENS, COUNTED_TOKENS = 2, 1024
"""What `turbo` calls few tokens that chose an expert, and among how many.

Source: native/src/whole_kernels.h, `kFewTokens`, which says why; native/src/experts.cc, `kMostTokens`.
"""


class ExpertRounding(NamedTuple):
    """How an expert's inputs are rounded beside weights in MXFP4, by how many tokens of a step chose it.

    Where at most `whole_tokens` did (`few_chose`), to the whole numbers of `ossia.int8.round_activations`. The rest as
    a dtype says: by the size of what float32 sums lose, to bfloat16, or to whole numbers of 8 bits, each 32 columns
    with a scale of their own.
    """

    whole_tokens: int
    rest: Literal["f32", "bf16", "int8"]

    @classmethod
    def of(cls, precision: Precision) -> "ExpertRounding":
        """Where no processor is better at one of them; see the package's docstring."""
        if precision is Precision.EXACT:
            return cls(0, "f32")
        return cls(FEW_TOKENS if precision is Precision.TURBO else 0, "bf16")


class CacheDtype(StrEnum):
    """What keys and values are rounded to and kept as; the default follows from the precision.

    `int8` rounds each head's key and value to whole numbers up to 127 of one scale (`ossia.int8.round_heads`).
    """

    F32 = "f32"
    BF16 = "bf16"
    INT8 = "int8"

    @classmethod
    def of(cls, precision: Precision) -> "CacheDtype":
        """The default: what the precision says of keys and values."""
        return cls.F32 if precision is Precision.EXACT else cls.BF16

    def head_bytes(self, width: int) -> int:
        """The bytes of one head's key or value of `width` numbers; in 8 bits with its scale."""
        return {CacheDtype.F32: 4 * width, CacheDtype.BF16: 2 * width, CacheDtype.INT8: width + 4}[self]


class Role(StrEnum):
    """What a weight is for, which decides how a backend keeps it."""

    EMBEDDING = "embedding"
    UNEMBEDDING = "unembedding"
    LINEAR = "linear"
    ROUTER = "router"
    EXPERTS = "experts"
    VECTOR = "vector"


class LowRank(NamedTuple):
    """Low-rank terms beside one weight, one per loaded adapter: y += scale * (x @ a.T) @ b.T.

    In an expert's weight `a` and `b` have X between the adapter and the rest.
    """

    a: Handle  # [adapters, B, C] or [adapters, X, B, C]
    b: Handle  # [adapters, N, B] or [adapters, X, N, B]
    scale: Handle  # [adapters]


class Linear(NamedTuple):
    """One dense weight with its bias and adapters, or a stack of them with X before every shape."""

    weight: Handle  # [N, C]
    bias: Handle | None = None  # [N]
    adapters: LowRank | None = None

    def of_expert(self, expert: int) -> "Linear":
        """One expert's part of a stack, where handles are arrays."""
        bias = None if self.bias is None else self.bias[expert]
        if self.adapters is None:
            return Linear(self.weight[expert], bias)
        a, b, scale = self.adapters
        return Linear(self.weight[expert], bias, LowRank(a[:, expert], b[:, expert], scale))


class Experts(NamedTuple):
    """The experts of one layer; rows 2j and 2j + 1 of `gate_up` are gate j and up j."""

    gate_up: Linear  # weight [X, 2F, D], bias [X, 2F]
    down: Linear  # weight [X, D, F], bias [X, D]


class Ops(Protocol):
    """A backend. Every operation returns a new array and leaves its inputs as they were, except the cache."""

    name: str
    precision: Precision
    kv_cache_dtype: CacheDtype
    stored_dtype: CacheDtype
    """What a cache takes memory for: `kv_cache_dtype`, or f32 where keys and values are only rounded to that."""

    batch_invariant: bool
    """Whether a token's numbers are the same bits however it is batched, chunked and threaded."""

    screens: bool
    """Whether `sample` reads fewer rows of an unembedding that is `Screened`; where not, its copy is of no use."""

    @property
    def expert_rounding(self) -> ExpertRounding:
        """How `experts` rounds its inputs, which may depend on the processor."""
        ...

    @property
    def most_whole_tokens(self) -> int | None:
        """How many tokens of a call `linear` rounds to 15 bits beside a projection in 8; None: any number.

        More are rounded to 8 bits after that, each 64 columns with a scale of their own.
        """
        ...

    @property
    def edition(self) -> str | None:
        """Another process with this edition, precision and `kv_cache_dtype` has the same bits; None: it may not."""
        ...

    def prepare(self, tensor: np.ndarray | Packed | Int8 | Screened, role: Role, name: str) -> Handle:
        """A weight taken in once, at load. `name` is for the error when it cannot be.

        A tensor is bfloat16, float32, packed MXFP4 (experts only) or 8 bits (not at `exact`, for `linear` alone), or
        the unembedding with a narrower copy beside it, which changes no result: at `exact` in 8 bits, and of one in 8
        bits in 4 (most probably: `ossia.int4`). The backend may keep a view of it.
        """
        ...

    def round_int8(self, tensor: np.ndarray) -> Int8:
        """[N, C] bfloat16 or float32 -> [N, C] in 8 bits, as `ossia.int8.encode` defines."""
        ...

    def round_int4(self, tensor: Int8) -> Int4:
        """[N, C] in 8 bits -> [N, C] in 4, as `ossia.int4.encode` defines."""
        ...

    def row_sums(self, matrices: Sequence[np.ndarray]) -> np.ndarray:
        """[N, 8 B] uint8 each -> [sum of N] uint64: of each row the sum of its 64-bit words, matrix after matrix.

        The two that look at bytes may run in a thread beside others that do not compute.
        """
        ...

    def first_with(self, arrays: Sequence[np.ndarray], byte: int) -> int | None:
        """The index of the first of some uint8 arrays that has this byte; None where none has."""
        ...

    def read_ahead(self, *, experts: bool = True) -> None:
        """Have what was prepared read into memory, beside whatever is computed meanwhile.

        For memory that can hold it all. Without `experts` theirs are read when they are chosen, before they are
        computed with. A backend that keeps copies has nothing to do.
        """
        ...

    def array(self, values: np.ndarray) -> Array:
        """A small array of a step, such as the cosines of its angles, as this backend's own kind."""
        ...

    def numpy(self, array: Array) -> np.ndarray:
        """The opposite of `array`."""
        ...

    def new_cache(self, slots: int, page_size: int, heads: int, width: int) -> Cache:
        """Room for keys and values, [slots, heads, width] each; `slots` is a multiple of `page_size`."""
        ...

    def read_page(self, cache: Cache, page_size: int, page: int) -> np.ndarray:
        """The bytes of a page, uint8 [N], as the backend lays them out: a view, or a copy."""
        ...

    def write_page(self, cache: Cache, page_size: int, page: int, content: np.ndarray) -> None:
        """Make a page hold bytes that were read from one of such a cache."""
        ...

    def embed(self, table: Handle, tokens: np.ndarray) -> Array:
        """[V, D], [T] int32 -> [T, D]: the rows of the table. A token is at least 0 and below V."""
        ...

    def rms_norm(self, x: Array, scale: Handle, eps: float) -> Array:
        """[T, D], [D] -> [T, D]: x / sqrt(mean(x^2) + eps) * scale, all in float32.

        Source: Zhang and Sennrich, Root Mean Square Layer Normalization (arXiv 1910.07467).
        """
        ...

    def linear(self, x: Array, projection: Linear, adapters: np.ndarray | None = None) -> Array:
        """[T, C] -> [T, N]: x @ weight.T + bias, and the low-rank term of each token's adapter.

        `adapters` [T] int32 says which adapter a token has, -1 none. `fast` and `turbo` round x first: to bfloat16, or,
        for a weight in 8 bits, to the whole numbers of `ossia.int8.round_activations`, and of more than
        `most_whole_tokens` further, if it is not the unembedding; for low-rank terms to bfloat16 always. Products of
        whole numbers are summed exactly within a segment of columns.
        """
        ...

    def rope(self, x: Array, cos: Array, sin: Array) -> Array:
        """[T, heads, E], [T, E/2], [T, E/2] -> [T, heads, E]: each pair (i, i + E/2) turned by its angle.

        Source: Su et al., RoFormer (arXiv 2104.09864), in the form that pairs the halves of a head.
        """
        ...

    def attend(
        self,
        q: Array,
        k: Array,
        v: Array,
        sinks: Handle,
        cache: Cache | None,
        batch: Batch,
        kind: str,
        window: int | None,
    ) -> Array:
        """[T, H, E], [T, K, E], [T, K, E], [H] -> [T, H * E]: causal attention with one sink a head.

        A token at position i sees the keys of its request at positions j with 0 <= i - j, and i - j < window if there
        is one. Scores are q.k / sqrt(E); the sink joins the softmax as one more, unscaled score without a value, so the
        weights sum to less than one. First writes k and v to `batch.pages[kind].slots` of the cache; without pages
        (`cache` None) each request attends to its own rows. k and v are rounded to
        `kv_cache_dtype` first, without pages too.

        Source: Xiao et al., Efficient Streaming Language Models with Attention Sinks (arXiv 2309.17453), with the sink
        as a learned score; openai/gpt-oss, gpt_oss/torch/model.py, `sdpa`.
        """
        ...

    def route(self, x: Array, router: Linear, active: int) -> tuple[Array, Array]:
        """[T, D] -> [T, A] int32, [T, A]: the chosen experts, best first, and the softmax over their scores alone.

        Scores are x @ weight.T + bias in float32 at every precision; equal scores go to the lower expert. Where one is
        NaN, all shares of that token are.
        """
        ...

    def experts(
        self,
        x: Array,
        chosen: Array,
        shares: Array,
        experts: Experts,
        limit: float,
        adapters: np.ndarray | None = None,
    ) -> Array:
        """[T, D], [T, A] int32, [T, A] -> [T, D]: the chosen experts' outputs, weighted and added in that order.

        One expert: h = gate_up x + bias; gate = min(h[0::2], limit), up = clamp(h[1::2], -limit, limit);
        a = gate * sigmoid(1.702 gate) * (up + 1); down a + bias. The bias of `down` is inside the weighted sum.
        Low-rank terms are added to h before SwiGLU and to the result of `down` before the share. x and a are rounded
        as `expert_rounding` says; for low-rank terms, and beside other weights than MXFP4, `fast` and `turbo` round
        them to bfloat16.

        Source: openai/gpt-oss, gpt_oss/torch/model.py, `MLPBlock` and `swiglu`.
        """
        ...

    def sample(self, x: Array, unembedding: Linear, draw: Draw) -> Drawn:
        """[L, D], [V, D] -> [L] tokens with their log-probabilities.

        Drawn from the logits `linear(x, unembedding)` as `ossia.ops.sampling` defines. It gets no logits because a
        backend need not compute those that can change nothing.
        """
        ...


def few_chose(chosen: np.ndarray, most: int) -> np.ndarray:
    """[T, A] int32 -> [T, A] bool: whether at most so many tokens chose the same expert.

    Counted among each `COUNTED_TOKENS` of a step, from the first on.
    """
    few = np.zeros(chosen.shape, bool)
    for first in range(0, len(chosen), COUNTED_TOKENS):
        some = chosen[first : first + COUNTED_TOKENS]
        _, which, counts = np.unique(some, return_inverse=True, return_counts=True)
        few[first : first + COUNTED_TOKENS] = (counts <= most)[which].reshape(some.shape)
    return few


def check_kind(tensor: np.ndarray | Packed | Int8 | Screened, precision: Precision, role: Role, name: str) -> None:
    """Refuse a weight in a form that is not computed with in this role. Raises BackendError."""
    if isinstance(tensor, Packed) and role is not Role.EXPERTS:
        raise BackendError(f"{name}: packed MXFP4 is for experts; as {role} a bfloat16 or float32 tensor is right")
    if isinstance(tensor, Screened):
        values, copy = (np.ndarray, Int8) if precision is Precision.EXACT else (Int8, Int4)
        if role is not Role.UNEMBEDDING or not isinstance(tensor.values, values) or not isinstance(tensor.copy, copy):
            raise BackendError(
                f"{name}: a matrix with a copy beside it, as {role} at {precision}; only the unembedding is right, as "
                "stored and in 8 bits at exact, in 8 bits and in 4 at fast and turbo"
            )
    if isinstance(tensor, Int8) and (precision is Precision.EXACT or role not in (Role.LINEAR, Role.UNEMBEDDING)):
        right = "one of `linear`'s at fast or turbo is right"
        raise BackendError(f"{name}: a matrix in 8 bits, as {role} at {precision}; {right}")

"""What a backend must do: seven operations over plain arrays, the keeping of weights and caches, and the draw.

Shapes are written with one alphabet:

    T tokens in the step      R requests           P pages per request     S slots of a cache
    D model width             H query heads        K key/value heads       E head width
    X experts                 A active experts     F expert width          V vocabulary
    L rows of logits wanted   N rows of a weight   C columns of a weight   B low-rank width of an adapter

Activations cross this seam as float32 (numpy arrays, or tensors in the torch backend); what a precision rounds, it
rounds inside an operation:

    exact   weights as stored; activations, sums and cache in float32. The inputs of experts in MXFP4 may be whole
            numbers of 23 bits, each 32 columns with a scale of their own, so that their products are summed exactly
            and what is lost is of the size of what float32 sums lose. A copy of the unembedding in 8 bits may tell a
            draw which rows it needs (`ossia.ops.screening`), and changes no result
    fast    the inputs of `linear` and of both products of `experts` rounded to bfloat16, and keys and values stored as
            bfloat16; everything else, the router and all sums included, in float32. Attention's projections and the
            unembedding come in 8 bits (`ossia.copies`): their inputs are rounded to whole numbers of 15 bits instead.
            So are those of experts in MXFP4, where the processor does that faster. A copy of the unembedding in 4 bits
            may tell a draw which rows it needs
    turbo   as fast; but where few tokens of a step chose an expert (`few_chose`) and its weights are MXFP4, the inputs
            of its products are rounded to whole numbers of 15 bits, and with other company to bfloat16, or to whole
            numbers of 8 bits where the processor does that faster; there so are those of attention's projections, of
            more than a few tokens (`most_whole_tokens`). So a token's numbers depend, by rounding, on what is computed
            beside it: `batch_invariant` is False

Which of them a backend does, its `expert_rounding` and `most_whole_tokens` say. At any precision keys and values may
be kept otherwise, as `CacheDtype` says.
"""

from ossia.ops.batch import Batch, Pages
from ossia.ops.protocol import (
    Array,
    Cache,
    CacheDtype,
    ExpertRounding,
    Experts,
    Handle,
    Linear,
    LowRank,
    Ops,
    Precision,
    Role,
)
from ossia.ops.sampling import Draw, Drawn, gumbel_noise

__all__ = [
    "Array",
    "Batch",
    "Cache",
    "CacheDtype",
    "Draw",
    "Drawn",
    "ExpertRounding",
    "Experts",
    "Handle",
    "Linear",
    "LowRank",
    "Ops",
    "Pages",
    "Precision",
    "Role",
    "gumbel_noise",
    "make_ops",
]

BACKENDS = ("native", "reference", "torch")


def make_ops(
    backend: str = "native",
    precision: str = "exact",
    threads: int | None = None,
    kv_cache_dtype: str | None = None,
) -> Ops:
    """The backend of that name. Only the one asked for is imported.

    `threads` is for `native` alone (None: one for each processor this process may use). `kv_cache_dtype` None is what
    fits the precision: f32 for exact, else bf16. Raises BackendError for an unknown name, precision or dtype, or a
    backend that cannot run here.
    """
    from ossia.errors import BackendError  # noqa: PLC0415

    if backend not in BACKENDS:
        raise BackendError(f"no backend is called {backend!r}; {', '.join(BACKENDS)} are")
    if precision not in tuple(Precision):
        raise BackendError(f"no precision is called {precision!r}; {', '.join(Precision)} are")
    if kv_cache_dtype is not None and kv_cache_dtype not in tuple(CacheDtype):
        raise BackendError(f"no cache is kept as {kv_cache_dtype!r}; {', '.join(CacheDtype)} are right")
    cached = None if kv_cache_dtype is None else CacheDtype(kv_cache_dtype)
    if threads is not None and backend != "native":
        raise BackendError(f"{threads} threads for {backend}, which decides by itself; threads are for native alone")
    if backend == "native":
        from ossia.ops.native import NativeOps  # noqa: PLC0415

        return NativeOps(Precision(precision), threads, kv_cache_dtype=cached)
    if backend == "torch":
        try:
            from ossia.ops.torch_ops import TorchOps  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise BackendError(f"the torch backend needs {error.name}; pip install 'ossia[train]' brings it") from error
        return TorchOps(Precision(precision), kv_cache_dtype=cached)
    from ossia.ops.reference import ReferenceOps  # noqa: PLC0415

    return ReferenceOps(Precision(precision), cached)

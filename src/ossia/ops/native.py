"""Every operation in C++, on all processors: what serves.

Weights are used as stored, straight from the mapped file. One token's numbers are the same bits however it is batched,
chunked and threaded: the order of additions is fixed (native/include/ossia.h, native/src/attend.h). Only `turbo` rounds
by how many tokens chose an expert.
"""

import threading
import weakref
from collections.abc import Callable, Sequence
from ctypes import CDLL, byref, c_int32, c_int64, c_void_p
from typing import Any, Literal

import numpy as np
from ml_dtypes import bfloat16

from ossia.errors import BackendError
from ossia.int4 import Int4, Screened
from ossia.int8 import Int8
from ossia.mxfp4 import Packed, check_scales
from ossia.ops import library
from ossia.ops.batch import Batch, check_indices
from ossia.ops.library import address
from ossia.ops.protocol import CacheDtype, ExpertRounding, Experts, Handle, Linear, Precision, Role, check_kind
from ossia.ops.residence import (
    Cache,
    Screen,
    Step,
    Vector,
    Weight,
    each_span,
    empty_int4,
    empty_int8,
    packed_step,
    paged_step,
)
from ossia.ops.sampling import Draw, Drawn
from ossia.ops.screening import MOST_BY_4_BITS, MOST_BY_8_BITS, allowed_rows, few, takes_the_best
from ossia.ops.structs import draw_struct, low_rank_struct

__all__ = ["NativeOps"]

_FLOATS = (np.dtype(np.float32), np.dtype(bfloat16))
# What `ossia_will_need` does: asks for it, waits for it, or only says that all of it will be wanted.
_ASK, _WAIT, _WHOLE = 0, 1, 2

_CACHE_DTYPES = {CacheDtype.F32: library.F32, CacheDtype.BF16: library.BF16, CacheDtype.INT8: library.INT8}

_ROUNDED_TO: dict[int, Literal["f32", "bf16", "int8"]] = {
    library.F32: "f32",
    library.BF16: "bf16",
    library.INT8: "int8",
}

_ANY_NUMBER = 2**63 - 1
_PRECISIONS = {Precision.EXACT: 0, Precision.FAST: 1, Precision.TURBO: 2}


class NativeOps:
    """`ossia.ops.Ops` over the native library.

    `threads` None means one for each processor that this process may use. `isa` names an instruction set to use instead
    of the best ("zen4", "amx", "avx512bf16", "avx512" or "avx2", on AArch64 "dotprod" or "neon", "portable"): for
    tests. Raises BackendError if the library is missing, or the processor lacks what was asked for.
    """

    name = "native"
    screens = True

    def __init__(
        self,
        precision: Precision = Precision.EXACT,
        threads: int | None = None,
        isa: str | None = None,
        kv_cache_dtype: CacheDtype | None = None,
    ) -> None:
        if threads is not None and (type(threads) is not int or not 1 <= threads <= 1024):
            raise BackendError(f"{threads!r} threads cannot be; 1 to 1024, or None for one each processor, are right")
        self.precision = precision
        self.batch_invariant = precision is not Precision.TURBO
        self._precision = _PRECISIONS[precision]
        self.kv_cache_dtype = self.stored_dtype = kv_cache_dtype or CacheDtype.of(precision)
        self._cache_dtype = _CACHE_DTYPES[self.kv_cache_dtype]
        self._library = library.load()
        context = c_void_p()
        status = self._library.ossia_create(threads or 0, isa.encode() if isa else None, byref(context))
        if status == library.OUT_OF_MEMORY:
            raise BackendError(f"the system gives no memory or no threads, {threads or 'all'}; fewer threads are right")
        _check(status, f"a context for {threads or 'all'} threads and instruction set {isa or 'of this processor'}")
        self._context = context.value
        weakref.finalize(self, self._library.ossia_destroy, self._context)
        self._dense: list[weakref.ref[Weight]] = []
        self._experts: list[weakref.ref[Weight]] = []
        self._as_chosen = False
        self._reader: threading.Thread | None = None
        self._steps: dict[Any, Any] = {}
        self._batch: Callable[[], Batch | None] = lambda: None

    @property
    def threads(self) -> int:
        """How many threads compute."""
        return self._library.ossia_threads(self._context)

    @property
    def isa(self) -> str:
        """The instruction set in use."""
        return self._library.ossia_isa(self._context).decode()

    @property
    def expert_rounding(self) -> ExpertRounding:
        """As defined: with products of bytes and no tiles, whole numbers at `fast` too."""
        return self._expert_rounding(self._precision)

    @property
    def most_whole_tokens(self) -> int | None:
        """As defined: with products of bytes and no tiles `turbo` rounds many tokens further."""
        most = self._library.ossia_most_whole_tokens(self._context, self._precision)
        return None if most == _ANY_NUMBER else most

    @property
    def edition(self) -> str | None:
        """As defined: the library's file, the instruction set, and whether it multiplies whole numbers."""
        if not self.batch_invariant:
            return None
        whole = self._expert_rounding(_PRECISIONS[Precision.TURBO]).whole_tokens > 0
        return f"{library.edition()} {self.isa} {'whole' if whole else 'float'}"

    def prepare(self, tensor: np.ndarray | Packed | Int8 | Screened, role: Role, name: str) -> Handle:
        check_kind(tensor, self.precision, role, name)
        if isinstance(tensor, Screened):
            weight = self.prepare(tensor.values, role, name)
            weight.screen = self._screen(tensor.copy, self._kept(tensor.copy, role))
            return weight
        if isinstance(tensor, Packed):
            packed = self._kept(tensor, role)
            if not tensor.checked:
                self._library.ossia_will_need(*packed.spans[-1], _WAIT)
                check_scales(tensor, name)
            return packed
        if isinstance(tensor, Int8):
            return self._kept(tensor, role)
        if tensor.dtype not in _FLOATS:
            raise BackendError(f"{name}: {tensor.dtype} is not computed with; bfloat16 or float32 is right")
        return Vector(tensor) if role is Role.VECTOR else self._kept(tensor, role)

    def round_int8(self, tensor: np.ndarray) -> Int8:
        weight, rounded = Weight(tensor), empty_int8(*tensor.shape)
        status = self._library.ossia_int8_round(self._context, weight.with_bias(None), rounded.panels.ctypes.data)
        _check(status, "a matrix to be rounded to 8 bits")
        return rounded

    def round_int4(self, tensor: Int8) -> Int4:
        weight, rounded = Weight(tensor), empty_int4(*tensor.shape)
        status = self._library.ossia_int4_round(self._context, weight.with_bias(None), rounded.panels.ctypes.data)
        _check(status, "a matrix to be rounded to 4 bits")
        return rounded

    def row_sums(self, matrices: Sequence[np.ndarray]) -> np.ndarray:
        arrays, sums = _rows(matrices), np.empty(sum(map(len, matrices)), np.uint64)
        status = self._library.ossia_sum_rows(self._context, arrays, len(arrays), sums.ctypes.data)
        _check(status, "rows to be summed")
        return sums

    def first_with(self, arrays: Sequence[np.ndarray], byte: int) -> int | None:
        parts, found = _rows([array.reshape(1, -1) for array in arrays]), c_int64()
        status = self._library.ossia_find_byte(self._context, parts, len(parts), byte, byref(found))
        _check(status, "bytes to be looked at")
        return None if found.value < 0 else found.value

    def read_ahead(self, *, experts: bool = True) -> None:
        # A mapped file that is not in memory is read as fast as the disk allows, many pieces at a time, instead of page
        # by page as the computation comes to them.
        matrices = self._dense + (self._experts if experts else [])
        each_span(matrices, lambda span: self._library.ossia_will_need(*span, _WHOLE))
        self._reader = threading.Thread(target=_read_ahead, args=(self._library, matrices), daemon=True)
        self._dense, self._experts = [], []
        self._reader.start()
        self._as_chosen = not experts

    def array(self, values: np.ndarray) -> np.ndarray:
        return values

    def numpy(self, array: np.ndarray) -> np.ndarray:
        return array

    def new_cache(self, slots: int, page_size: int, heads: int, width: int) -> Cache:
        if page_size < 1 or slots % page_size:
            raise BackendError(f"{slots} slots are not whole pages of {page_size}; a multiple is right")
        return Cache(slots // page_size, page_size, heads, width, self._cache_dtype)

    def read_page(self, cache: Cache, page_size: int, page: int) -> np.ndarray:
        if page_size != cache.struct.page_size:
            raise BackendError(f"pages of {page_size} positions in a cache with pages of {cache.struct.page_size}")
        return cache.page(page)

    def write_page(self, cache: Cache, page_size: int, page: int, content: np.ndarray) -> None:
        self.read_page(cache, page_size, page)[:] = content

    def embed(self, table: Weight, tokens: np.ndarray) -> np.ndarray:
        tokens = np.ascontiguousarray(tokens, np.int32)
        y = np.empty((len(tokens), table.columns), np.float32)
        status = self._library.ossia_embed(
            self._context, table.with_bias(None), address(tokens), len(tokens), address(y)
        )
        if status == library.BAD_INDEX:
            check_indices("token", tokens, table.rows)
        _check(status, "embed")
        return y

    def rms_norm(self, x: np.ndarray, scale: Vector, eps: float) -> np.ndarray:
        x = _floats(x, scale.array.size, "rms_norm")
        y = np.empty_like(x)
        status = self._library.ossia_rms_norm(
            self._context, address(x), scale.address, len(x), x.shape[-1], eps, address(y)
        )
        _check(status, "rms_norm")
        return y

    def linear(self, x: np.ndarray, projection: Linear, adapters: np.ndarray | None = None) -> np.ndarray:
        weight = projection.weight
        x = _floats(x, weight.columns, "linear")
        adapters = _adapters(adapters, len(x))
        terms = low_rank_struct(projection.adapters)
        y = np.empty((len(x), weight.rows), np.float32)
        status = self._library.ossia_linear(
            self._context,
            address(x),
            len(x),
            weight.with_bias(projection.bias),
            terms and byref(terms),
            None if adapters is None else address(adapters),
            _PRECISIONS[weight.precision],
            address(y),
        )
        _check(status, "linear")
        return y

    def rope(self, x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
        tokens, heads, width = x.shape
        x, cos, sin = _floats(x, width, "rope"), _floats(cos, width // 2, "rope"), _floats(sin, width // 2, "rope")
        if len(cos) != tokens or len(sin) != tokens:
            raise BackendError(f"rope: angles of {len(cos)} and {len(sin)} tokens for {tokens}; as many is right")
        y = np.empty_like(x)
        status = self._library.ossia_rope(
            self._context, address(x), address(cos), address(sin), tokens, heads, width, address(y)
        )
        _check(status, "rope")
        return y

    def attend(
        self,
        q: np.ndarray,
        k: np.ndarray,
        v: np.ndarray,
        sinks: Vector,
        cache: Cache | None,
        batch: Batch,
        kind: str,
        window: int | None,
    ) -> np.ndarray:
        tokens, heads, width = q.shape
        if cache is None:
            step, cache = self._packed_step(batch, k.shape[1], width)
        else:
            step = self._paged_step(batch, kind)
        q, k, v = _floats(q, width, "attend"), _floats(k, width, "attend"), _floats(v, width, "attend")
        _check_attend(q, k, v, sinks, cache, step)
        y = np.empty((tokens, heads * width), np.float32)
        status = self._library.ossia_attend(
            self._context,
            address(q),
            address(k),
            address(v),
            sinks.address,
            heads,
            cache.address,
            step.address,
            window or 0,
            address(y),
        )
        _check(
            status, f"attend over the pages of {kind}: positions not neighbouring, a bad slot, or a key without a page"
        )
        return y

    def route(self, x: np.ndarray, router: Linear, active: int) -> tuple[np.ndarray, np.ndarray]:
        scores = self.linear(x, router)
        tokens, experts = scores.shape
        chosen, shares = np.empty((tokens, active), np.int32), np.empty((tokens, active), np.float32)
        status = self._library.ossia_choose(
            self._context, address(scores), tokens, experts, active, address(chosen), address(shares)
        )
        _check(status, f"the choice of {active} among {experts} experts")
        return chosen, shares

    def experts(
        self,
        x: np.ndarray,
        chosen: np.ndarray,
        shares: np.ndarray,
        experts: Experts,
        limit: float,
        adapters: np.ndarray | None = None,
    ) -> np.ndarray:
        gate_up, down = experts
        x = _floats(x, gate_up.weight.columns, "experts")
        chosen, shares = np.ascontiguousarray(chosen, np.int32), _floats(shares, chosen.shape[-1], "experts")
        adapters = _adapters(adapters, len(x))
        terms = low_rank_struct(gate_up.adapters), low_rank_struct(down.adapters)
        if self._as_chosen:
            self._ask_for(np.unique(chosen).tolist(), gate_up.weight, down.weight)
        y = np.empty((len(x), down.weight.rows), np.float32)
        status = self._library.ossia_experts(
            self._context,
            address(x),
            len(x),
            address(chosen),
            address(shares),
            chosen.shape[-1],
            gate_up.weight.with_bias(gate_up.bias),
            down.weight.with_bias(down.bias),
            terms[0] and byref(terms[0]),
            terms[1] and byref(terms[1]),
            None if adapters is None else address(adapters),
            limit,
            self._precision,
            address(y),
        )
        if status == library.BAD_INDEX:
            check_indices("expert", chosen, gate_up.weight.experts)
        _check(status, "experts")
        return y

    def sample(self, x: np.ndarray, unembedding: Linear, draw: Draw) -> Drawn:
        rows, vocabulary = len(x), unembedding.weight.rows
        struct, arrays = draw_struct(draw, rows)
        wanted = self._wanted(x, unembedding, draw)
        logits = self.linear(x, unembedding) if wanted is None else self._linear_rows(x, unembedding, wanted)
        tokens = np.empty(rows, np.int32)
        logprobs = np.empty(rows, np.float32)
        top_tokens = np.empty((rows, draw.top_logprobs), np.int32)
        top_values = np.empty((rows, draw.top_logprobs), np.float32)
        outputs = (address(array) for array in (tokens, logprobs, top_tokens, top_values))
        status = self._library.ossia_sample(self._context, address(logits), rows, vocabulary, byref(struct), *outputs)
        del arrays  # were kept alive until here
        _check(status, "sample: temperature, filter, mask or a token of the biases")
        return Drawn(tokens, logprobs, top_tokens, top_values) if draw.logprobs else Drawn(tokens, None, None, None)

    def _wanted(self, x: np.ndarray, unembedding: Linear, draw: Draw) -> np.ndarray | None:
        """[ceil(V / 32)] int32: the tokens that may be drawn, if they are few; None where all rows are to be read."""
        weight = unembedding.weight
        wanted = allowed_rows(draw, weight.rows)
        screen = weight.screen
        if wanted is not None or screen is None or unembedding.bias is not None or not takes_the_best(draw):
            return wanted
        return few(self._reaching(x, weight, screen, draw), weight.rows) if len(x) <= screen.most_rows else None

    def _reaching(self, x: np.ndarray, weight: Weight, screen: Screen, draw: Draw) -> np.ndarray:
        """[ceil(V / 32)] int32: the tokens that any row may draw, as far as the copy can tell."""
        x = _floats(x, screen.copy.columns, "sample")
        if screen.norms is None:
            return self._reaching_by_4_bits(x, weight, screen.copy, draw)
        logits = self.linear(x, Linear(screen.copy))
        struct, arrays = draw_struct(draw, len(x))
        rows, columns, wanted = screen.copy.rows, screen.copy.columns, np.empty(-(-screen.copy.rows // 32), np.int32)
        status = self._library.ossia_screen(
            self._context,
            address(x),
            len(x),
            columns,
            address(logits),
            address(screen.norms),
            rows,
            byref(struct),
            address(wanted),
        )
        del arrays  # were kept alive until here
        _check(status, "sample: temperature, mask or a token of the biases")
        return wanted

    def _reaching_by_4_bits(self, x: np.ndarray, weight: Weight, copy: Weight, draw: Draw) -> np.ndarray:
        struct, arrays = draw_struct(draw, len(x))
        wanted = np.empty(-(-weight.rows // 32), np.int32)
        values, panels = weight.with_bias(None), copy.values.ctypes.data
        status = self._library.ossia_int4_screen(
            self._context, address(x), len(x), values, panels, byref(struct), address(wanted)
        )
        del arrays  # were kept alive until here
        _check(status, "sample: temperature, mask or a token of the biases")
        return wanted

    def _screen(self, copy: Int8 | Int4, weight: Weight) -> Screen:
        if isinstance(copy, Int4):
            return Screen(weight, None, MOST_BY_4_BITS)
        norms = np.empty(weight.rows, np.float32)
        _check(self._library.ossia_int8_norms(self._context, weight.with_bias(None), address(norms)), "a copy's norms")
        return Screen(weight, norms, MOST_BY_8_BITS)

    def _expert_rounding(self, precision: int) -> ExpertRounding:
        whole, rest = c_int64(), c_int32()
        self._library.ossia_expert_rounding(self._context, precision, byref(whole), byref(rest))
        return ExpertRounding(whole.value, _ROUNDED_TO[rest.value])

    def _kept(self, tensor: np.ndarray | Packed | Int8 | Int4, role: Role) -> Weight:
        weight = Weight(tensor, self._precision_of(tensor, role))
        # Of the embedding a step reads a few rows; all others are read whole, sooner or later.
        if role is not Role.EMBEDDING:
            (self._experts if role is Role.EXPERTS else self._dense).append(weakref.ref(weight))
        return weight

    def _precision_of(self, tensor: np.ndarray | Packed | Int8 | Int4, role: Role) -> Precision:
        """How `linear` rounds: not at all for scores, and not coarsely where rounding would be an error of logits."""
        if role is Role.ROUTER:
            return Precision.EXACT
        return Precision.FAST if role is Role.UNEMBEDDING and isinstance(tensor, Int8) else self.precision

    def _ask_for(self, experts: Sequence[int], *weights: Weight) -> None:
        """Ask the disk for all of the experts: many pieces at a time come several times as fast as page by page."""
        for weight in weights:
            for expert in experts:
                for span in weight.spans_of(expert) if 0 <= expert < weight.experts else ():
                    self._library.ossia_will_need(*span, _ASK)

    def _linear_rows(self, x: np.ndarray, projection: Linear, wanted: np.ndarray) -> np.ndarray:
        """[T, C] -> [T, N]: what `linear` gives for the rows whose bits are set, and -inf for others."""
        weight = projection.weight
        x = _floats(x, weight.columns, "sample")
        y = np.full((len(x), weight.rows), -np.inf, np.float32)
        status = self._library.ossia_linear_rows(
            self._context,
            address(x),
            len(x),
            weight.with_bias(projection.bias),
            address(wanted),
            _PRECISIONS[weight.precision],
            address(y),
        )
        _check(status, "some rows of the unembedding")
        return y

    def _paged_step(self, batch: Batch, kind: str) -> Step:
        steps = self._steps_of(batch)
        if kind not in steps:
            steps[kind] = paged_step(batch, kind)
        return steps[kind]

    def _packed_step(self, batch: Batch, heads: int, width: int) -> tuple[Step, Cache]:
        steps = self._steps_of(batch)
        if None not in steps:
            steps[None] = packed_step(batch, heads, width, self._cache_dtype)
        return steps[None]

    def _steps_of(self, batch: Batch) -> dict[Any, Any]:
        """What earlier layers resolved, by kind of layer; kept for the latest batch, while it lives."""
        if self._batch() is not batch:
            self._steps = {}
            self._batch = weakref.ref(batch, lambda _: self._steps.clear())
        return self._steps


def _rows(matrices: Sequence[np.ndarray]) -> Any:
    """The library's structs for matrices of bytes that lie one row after another."""
    return (library.Rows * len(matrices))(*((one.ctypes.data, *one.shape) for one in matrices))


def _read_ahead(native: CDLL, matrices: Sequence[weakref.ref[Weight]]) -> None:
    each_span(matrices, lambda span: native.ossia_will_need(*span, _WAIT))


def _check(status: int, what: str) -> None:
    if status != library.OK:
        raise BackendError(f"the native library refuses {what}: {library.reason(status)}")


def _check_attend(q: np.ndarray, k: np.ndarray, v: np.ndarray, sinks: Vector, cache: Cache, step: Step) -> None:
    tokens, heads, width = q.shape
    kept, expected = cache.struct, (step.struct.tokens, cache.struct.heads, cache.struct.width)
    if k.shape != expected or v.shape != expected or (tokens, width) != expected[::2] or sinks.array.size != heads:
        raise BackendError(
            f"attend: queries {q.shape}, keys {k.shape}, values {v.shape} and {sinks.array.size} sinks do not fit "
            f"together, or not a step of {expected[0]} tokens and a cache of {kept.heads} heads of width {kept.width}"
        )
    if step.page_size != kept.page_size:
        raise BackendError(f"a batch with pages of {step.page_size} positions, a cache with pages of {kept.page_size}")


def _floats(x: np.ndarray, width: int, operation: str) -> np.ndarray:
    """The array as the library reads it: contiguous float32, with rows of `width`."""
    if x.shape[-1] != width:
        raise BackendError(f"{operation}: rows of {x.shape[-1]} where {width} is right")
    return np.ascontiguousarray(x, np.float32)


def _adapters(adapters: np.ndarray | None, tokens: int) -> np.ndarray | None:
    if adapters is None:
        return None
    if len(adapters) != tokens:
        raise BackendError(f"adapters of {len(adapters)} tokens for {tokens}; as many is right")
    return np.ascontiguousarray(adapters, np.int32)

"""What a machine and a model allow: read bandwidth, the bytes of a decoding step, and the memory in use.

Decoding reads nearly every weight it uses once per step and does little with it, so a step cannot take less than its
bytes over the bandwidth: the bound that `ossia bench` compares with.
"""

import math
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ossia.checkpoint import Checkpoint, Tensor, expected_tensors
from ossia.checkpoint.gguf import stored_bytes
from ossia.config import ModelConfig
from ossia.copies import in_8_bits, screen_bytes
from ossia.engine.memory import slot_bytes
from ossia.int8 import int8_bytes
from ossia.loading import available_bytes
from ossia.mxfp4 import Packed
from ossia.ops import CacheDtype, Precision
from ossia.ops.screening import MOST_BY_4_BITS

__all__ = [
    "anonymous_bytes",
    "cache_bytes",
    "decode_bytes",
    "peak_rss_bytes",
    "processors",
    "read_bandwidth",
    "weight_bytes",
    "weights_bandwidth",
]

BUFFER_BYTES = 1 << 30
"""Several times the largest caches of present machines, so that every pass comes from memory."""

STRETCH_BYTES = 8 << 20
"""Read by one call, or somewhat more: with 2 MiB the calls took a sixth of the time, with 8 none that shows."""


def decode_bytes(
    checkpoint: Checkpoint,
    batch: int = 1,
    depth: int = 0,
    precision: Precision = Precision.EXACT,
    kv_cache_dtype: CacheDtype | None = None,
    *,
    screened: bool = False,
) -> float:
    """Bytes that one decoding step of `batch` requests must read, each with `depth` tokens behind it."""
    cached = cache_bytes(checkpoint.config, depth, kv_cache_dtype or CacheDtype.of(precision))
    return weight_bytes(checkpoint, batch, precision, screened=screened) + batch * cached


def weight_bytes(
    checkpoint: Checkpoint, batch: int = 1, precision: Precision = Precision.EXACT, *, screened: bool = False
) -> float:
    """Bytes of weights that a step of `batch` tokens must read: as the file stores them, or in 8 bits but at `exact`.

    Where draws are `screened`, of the unembedding its copy, in 8 bits at `exact` and else in 4 for few requests, and so
    few rows besides that they do not count.
    All but the embedding, of which each token reads one row, and the experts that no token chose: with independent
    choices a token misses one of X experts with probability 1 - A / X.
    """
    config = checkpoint.config
    share = 1 - (1 - config.num_experts_per_tok / config.num_local_experts) ** batch
    total, copied = 0.0, in_8_bits(config, precision) if screened or precision is not Precision.EXACT else {}
    by_4_bits = screened and precision is not Precision.EXACT and batch <= MOST_BY_4_BITS
    for name, spec in expected_tensors(config, checkpoint.experts).items():
        stored = stored_bytes(checkpoint.stored[name], spec.parameters)
        if by_4_bits and name == "lm_head.weight":
            total += screen_bytes(config, precision)
        elif name in copied:
            total += int8_bytes(*copied[name])
        elif name == "model.embed_tokens.weight":
            total += batch * stored / config.vocab_size
        else:
            total += stored * (share if ".experts." in name else 1)
    return total


def cache_bytes(config: ModelConfig, depth: int, dtype: CacheDtype) -> int:
    """Bytes of keys and values that one token reads with `depth` tokens behind it; a sliding layer only its window."""
    tokens = sum(min(depth, config.window(layer) or depth) for layer in range(config.num_hidden_layers))
    return tokens * slot_bytes(config, dtype)


def read_bandwidth(threads: int, passes: int = 4) -> float:
    """Bytes per second that `threads` threads read together from memory of their own."""
    return _bandwidth([np.ones(_buffer_bytes() // 8, np.int64)], threads, passes)


def weights_bandwidth(checkpoint: Checkpoint, threads: int, passes: int = 4) -> float:
    """The same of the experts where they lie: what a decoding step reads from there at any precision.

    Of each of their tensors an equal share, since the pages of one file may lie in memory of different speeds; of a
    small model all. A GGUF's experts are computed when they are loaded, and lie in fresh memory.
    """
    if checkpoint.path.is_file():
        return read_bandwidth(threads, passes)
    names = (name for name in checkpoint.tensors if name.endswith((".experts.gate_up_proj", ".experts.down_proj")))
    experts = [_words(_plain(checkpoint.tensors[name])) for name in names]
    share = min(1.0, BUFFER_BYTES / sum(words.nbytes for words in experts))
    return _bandwidth([stretch for words in experts for stretch in _stretches(words, share)], threads, passes)


def _stretches(words: np.ndarray, share: float) -> list[np.ndarray]:
    """A share of the words, from as many evenly spaced places as give long stretches."""
    parts = np.array_split(words, max(1, int(words.nbytes * share) // STRETCH_BYTES))
    return [part[: int(len(part) * share)] for part in parts]


def _bandwidth(buffers: Sequence[np.ndarray], threads: int, passes: int) -> float:
    """The best of several ways to read these 64-bit words, and of several passes.

    numpy's reductions are vectorised and run without the interpreter's lock; which of them is fastest differs between
    machines, and any that is slower than memory would only lower the bound.
    """
    parts = [_part(buffers, thread, threads) for thread in range(threads)]
    ways: list[Callable[[np.ndarray], object]] = [np.max, np.bitwise_or.reduce, np.sum, _square]
    total = sum(piece.nbytes for part in parts for piece in part)
    with ThreadPoolExecutor(threads) as pool:
        return max(total / _seconds(pool, way, parts) for way in ways for _ in range(passes))


def _part(buffers: Sequence[np.ndarray], thread: int, threads: int) -> list[np.ndarray]:
    """A thread's share of the words, one after another, so that it has few pieces and long ones."""
    total, begin, pieces = sum(map(len, buffers)), 0, list[np.ndarray]()
    first, end = total * thread // threads, total * (thread + 1) // threads
    for buffer in buffers:
        pieces.append(buffer[max(first - begin, 0) : max(end - begin, 0)])
        begin += len(buffer)
    return [piece for piece in pieces if len(piece)]


def _plain(tensor: Tensor) -> np.ndarray:
    """A tensor's values as the file has them."""
    return tensor.blocks if isinstance(tensor, Packed) else tensor


def _words(values: np.ndarray) -> np.ndarray:
    """The whole 64-bit words that an array lies in, from the first cache line on."""
    octets = values.ravel(order="K").view(np.uint8)  # as they lie, be their axes in another order
    begin = -octets.ctypes.data % 64
    return octets[begin : begin + max(len(octets) - begin, 0) // 8 * 8].view(np.int64)


def _square(part: np.ndarray) -> object:
    with np.errstate(all="ignore"):  # what stands in weights is no number of this kind
        return np.dot(part.view(np.float32), part.view(np.float32))


def _seconds(pool: ThreadPoolExecutor, way: Callable[[np.ndarray], object], parts: list[list[np.ndarray]]) -> float:
    # One call of the pool for each thread: one for each piece took up to a third of the time.
    begin = time.perf_counter()
    list(pool.map(lambda pieces: [way(piece) for piece in pieces], parts))
    return time.perf_counter() - begin


def _buffer_bytes() -> int:
    """Of the buffer that is read: less where memory is short, since swapping would measure the disk."""
    free = available_bytes()
    return BUFFER_BYTES if free is None else min(BUFFER_BYTES, 1 << int(math.log2(max(free // 4, 1 << 20))))


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_rss_bytes() -> int:
    """The most memory this process has had resident, mapped files included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def anonymous_bytes() -> int | None:
    """Resident memory that is no file's: what the process uses beside the mapped weights. None where not known."""
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), None)

"""Draws and low-rank terms as the native library takes them."""

import numpy as np

from ossia.errors import BackendError
from ossia.ops import library
from ossia.ops.library import address
from ossia.ops.protocol import LowRank
from ossia.ops.sampling import Draw

__all__ = ["draw_struct", "low_rank_struct"]


def draw_struct(draw: Draw, rows: int) -> tuple[library.Draw, list[np.ndarray]]:
    """The struct of a draw, and the arrays that it points to, which are to live as long as it is used.

    Raises BackendError when what is said of each row is not as long as there are rows.
    """
    columns = {
        "temperature": np.float32,
        "top_k": np.int32,
        "top_p": np.float32,
        "min_p": np.float32,
        "seed": np.uint64,
        "position": np.int64,
        "bias_starts": np.int32,
        "bias_tokens": np.int32,
        "bias_values": np.float32,
    }
    arrays = [np.ascontiguousarray(getattr(draw, name), dtype) for name, dtype in columns.items()]
    if any(len(array) != rows for array in arrays[:6]) or len(arrays[6]) != rows + 1:
        raise BackendError(
            f"sample: a draw of {[len(array) for array in arrays[:7]]} entries for {rows} rows of logits"
        )
    if arrays[6][-1] > min(len(arrays[7]), len(arrays[8])):
        raise BackendError(
            f"sample: biases up to {arrays[6][-1]}, but {len(arrays[7])} tokens and {len(arrays[8])} values"
        )
    mask_words = 0
    if draw.mask is not None:
        arrays.append(np.ascontiguousarray(draw.mask, np.int32))
        if len(draw.mask) != rows:
            raise BackendError(f"sample: masks of {len(draw.mask)} rows for {rows} rows of logits; as many is right")
        mask_words = draw.mask.shape[1]
    addresses = [address(array) for array in arrays] + [None] * (10 - len(arrays))
    return library.Draw(*addresses, mask_words, draw.top_logprobs, draw.logprobs), arrays


def low_rank_struct(terms: LowRank | None) -> library.LowRank | None:
    """The struct of low-rank terms; None where there are none."""
    if terms is None:
        return None
    a, b, scale = terms
    return library.LowRank(a.address, b.address, scale.address, len(scale.array), a.array.shape[-2])

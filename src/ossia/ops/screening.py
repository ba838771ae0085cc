"""Which rows of the unembedding a draw needs, where it does not need all: what makes `sample` read less.

Rows of a weight are computed apart from each other, so those that are computed have the bits that they would have among
all, and a draw that looks at no others is the same token. It need not look where its mask forbids; nor, where it takes
the best score, at a token whose score is less than another's for certain. What a copy of the unembedding in 8 bits
leaves possible of each logit is an interval around what it gives, as wide as rounding can have moved it; adding a bias,
dividing by a temperature and adding noise keep the order of its ends; and whatever token's upper end lies below another
one's lower end is not drawn. The widths and their proof stand in native/src/screen.cc. Beside an unembedding in 8 bits
the copy has 4, and the widths hold but for one draw in a billion (native/src/int4_screen.cc). The normaliser of top-p,
min-p and log-probabilities needs every row, and top-k more than the best.
"""

import numpy as np

from ossia.ops.sampling import Draw

__all__ = ["FEW", "MOST_BY_4_BITS", "MOST_BY_8_BITS", "allowed_rows", "few", "takes_the_best"]

FEW = 8
"""Rows are read one by one where at most one in so many is wanted.

Scattered rows of 20b's unembedding, an eighth of all, took 0.31 of the time of all of them as stored, and in 8 bits,
where 16 come together, 0.87; a quarter 0.52 and 1.0 (one thread of a Xeon with AMX).
"""


MOST_BY_8_BITS = 1 << 30
MOST_BY_4_BITS = 3
"""Rows of a draw that a copy is read for; for more, all rows of the unembedding are.

A copy in 8 bits pays for any number that was tried. Beside an unembedding in 8 bits one in 4, of 20b's size, takes 0.5
of the time for one row, 0.6 for two, 0.7 for three and 0.9 to 1.04 for four (two threads of a Zen 4).
"""


def allowed_rows(draw: Draw, vocabulary: int) -> np.ndarray | None:
    """[ceil(V / 32)] int32: the tokens that the mask of any row allows, if they are few; None where they are not.

    Filters and noise only see tokens that are allowed. Log-probabilities are those of all tokens: None.
    """
    words = -(-vocabulary // 32)
    if draw.mask is None or draw.logprobs or draw.mask.shape[-1] < words:
        return None
    return few(np.bitwise_or.reduce(draw.mask[:, :words], axis=0), vocabulary)


def few(wanted: np.ndarray, vocabulary: int) -> np.ndarray | None:
    """The same mask, if so few of its bits are set that their rows are better read one by one; otherwise None."""
    return wanted if np.bitwise_count(wanted.view(np.uint32)).sum() <= vocabulary // FEW else None


def takes_the_best(draw: Draw) -> bool:
    """Whether the tokens drawn are the largest scores of their rows, and nothing else is wanted."""
    filtered = (draw.top_k > 0) | (draw.top_p < 1) | (draw.min_p > 0)
    return not draw.logprobs and not np.any(filtered & (draw.temperature != 0))

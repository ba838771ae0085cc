"""Many short documents in one step, behind prefixes that they share.

A system message of a hundred tokens before every question of ten would be most of the work. Here a group of documents
stands behind one prefix: each sees it and itself, none sees another, and positions go on where the prefix ends, so that
the logits are those of each document behind a prefix of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ossia.errors import OssiaError
from ossia.ops import Batch

__all__ = ["UNLEARNED", "Document", "Group", "PrefixedBatch", "pack"]

UNLEARNED = -100
"""The target of a row that only fills up, as torch's cross-entropy ignores it."""


@dataclass(frozen=True)
class Document:
    """A text to learn from; `learned` says of each token whether it is to be predicted."""

    tokens: Sequence[int]
    learned: Sequence[bool]

    def __post_init__(self) -> None:
        if len(self.tokens) != len(self.learned) or not self.tokens:
            raise OssiaError(
                f"a document has {len(self.tokens)} tokens and {len(self.learned)} marks; as many, and some, is right"
            )


@dataclass(frozen=True)
class Group:
    """Documents that share a prefix, which is itself not learned."""

    prefix: Sequence[int]
    documents: Sequence[Document]


@dataclass(frozen=True)
class PrefixedBatch(Batch):
    """A batch without pages whose requests are, group after group, a prefix and the documents that see it.

    `logit_rows` are the rows whose next token is learned. Tokens behind the last request, and targets of `UNLEARNED`,
    only fill up: matrix products are compiled for each number of rows, and few numbers are few compilations.
    """

    groups: np.ndarray = field(kw_only=True)  # [G + 1] int32, the request at which each group begins
    targets: np.ndarray = field(kw_only=True)  # [L] int32, the tokens to be predicted, or UNLEARNED

    @cached_property
    def spans(self) -> list[tuple[slice, np.ndarray]]:
        """Of each group: the rows of its prefix, and where its documents start and the last ends."""
        return [
            (self.rows(first), self.starts[first + 1 : last + 1])
            for first, last in zip(self.groups[:-1].tolist(), self.groups[1:].tolist(), strict=True)
        ]


def pack(groups: Sequence[Group], multiple: int = 1) -> PrefixedBatch:
    """The groups as one batch, its rows and its targets filled up to multiples of `multiple`.

    A document's first token is never a target: it would be the prefix's to predict.
    """
    tokens, positions, lengths, learned, firsts = [], [], [], [], [0]
    for group in groups:
        before = len(group.prefix)
        tokens.append(group.prefix)
        positions.append(np.arange(before))
        learned.append(np.zeros(before, bool))
        for document in group.documents:
            tokens.append(document.tokens)
            positions.append(before + np.arange(len(document.tokens)))
            learned.append(np.asarray(document.learned, bool) & (np.arange(len(document.tokens)) > 0))
        lengths += [before, *(len(document.tokens) for document in group.documents)]
        firsts.append(len(lengths))
    flat = np.concatenate([np.asarray(part, np.int32) for part in tokens])
    rows = np.flatnonzero(np.concatenate(learned)) - 1
    return PrefixedBatch(
        tokens=_filled(flat, multiple, 0),
        positions=_filled(np.concatenate(positions), multiple, 0),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
        logit_rows=_filled(rows, multiple, 0),
        groups=np.asarray(firsts, np.int32),
        targets=_filled(flat[rows + 1], multiple, UNLEARNED),
    )


def _filled(values: np.ndarray, multiple: int, filling: int) -> np.ndarray:
    """[n] -> [n rounded up to the multiple] int32."""
    return np.pad(values, (0, -len(values) % multiple), constant_values=filling).astype(np.int32)

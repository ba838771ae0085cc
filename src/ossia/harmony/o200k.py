"""o200k_harmony, the vocabulary of both published models, as the package embeds it (packed by recipes/vocabulary.py).

Source: openai/tiktoken, tiktoken_ext/openai_public.py, `o200k_harmony`.
"""

import struct
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

__all__ = ["CONTROL_TOKENS", "RANKS", "SIZE", "control", "ranks"]

RANKS = 199_998
SIZE = 201_088
"""One more than the largest id: the height of both published models' embedding."""

_NAMED = {
    "<|startoftext|>": 199_998,
    "<|endoftext|>": 199_999,
    "<|return|>": 200_002,
    "<|constrain|>": 200_003,
    "<|channel|>": 200_005,
    "<|start|>": 200_006,
    "<|end|>": 200_007,
    "<|message|>": 200_008,
    "<|call|>": 200_012,
}

CONTROL_TOKENS: tuple[str, ...] = tuple(_NAMED)
"""The control tokens with a meaning in Harmony, in the order of their published ids. All but the first are needed."""


@cache
def ranks() -> Mapping[bytes, int]:
    """The ordinary tokens and their ids: under zlib, a length byte for each in order, then the bytes of all."""
    data = zlib.decompress((Path(__file__).parents[1] / "data" / "o200k.zlib").read_bytes())
    # `struct` cuts them all at once.
    cuts = [f"{length}s" for length in range(256)]
    tokens = struct.unpack_from("".join(map(cuts.__getitem__, data[:RANKS])), data, RANKS)
    return MappingProxyType(dict(zip(tokens, range(RANKS), strict=True)))


def control() -> dict[str, int]:
    """The control tokens: nine with a meaning, every other id reserved.

    tiktoken's `<|endofprompt|>` is a second name of the reserved 200018, by which openai-harmony knows that id.
    """
    taken = set(_NAMED.values())
    reserved = {f"<|reserved_{i}|>": i for i in range(RANKS, SIZE) if i not in taken}
    return _NAMED | {"<|endofprompt|>": 200_018} | reserved

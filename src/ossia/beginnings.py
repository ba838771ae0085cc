"""Beginnings of conversations, kept in the user's cache beside a large model's copies in 8 bits.

`ossia.engine.beginning` says what for. A file has the bytes of every layer's pages, and their digest. It is of use to
whoever would compute the same bits: its name says by what kernels, at what precision and from which tokens they came.
Only system messages are kept that Ossia rendered itself: they say nothing of what was talked about.
"""

import hashlib
import os
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ossia.checkpoint.cached_files import SUFFIX, is_own, named, write
from ossia.checkpoint.safetensors import read_file, read_metadata
from ossia.errors import OssiaError
from ossia.harmony import Vocabulary
from ossia.loading import Loaded

__all__ = ["KeptBeginnings"]

NEWEST = 8
"""Files that are kept of a model: a day has one for each effort and set of tools."""

MOST_TOKENS = 1024
"""Of a beginning that is kept: at 20b a token takes 48 KiB."""

_KIND = ".beginning"
_VERSION = 1  # of how the pages lie in a file, and of what the model computes: numpy has a part in that


@dataclass
class KeptBeginnings:
    """Files in a folder. What cannot be read or written is computed as if there were none."""

    folder: Path
    checkpoint: Path
    origin: str
    """What their names begin with: the checkpoint as it was when it was opened, and who computes with it."""
    header: list[int]
    """What a system message begins with."""
    refused: bool = False
    """Whether the disk did not take one; no other is tried then."""

    @classmethod
    def of(cls, loaded: Loaded, vocabulary: Vocabulary, page_size: int) -> "KeptBeginnings | None":
        """Those of a model; None where it has no file of copies, or its backend has other bits each time."""
        ops, copies = loaded.ops, loaded.copies
        if ops.edition is None or copies is None or copies.kept is None:
            return None
        computing = (ops.name, ops.edition, str(ops.precision), str(ops.kv_cache_dtype), page_size)
        made_from = (_VERSION, np.__version__, *computing, repr(loaded.config))
        header = [vocabulary.start, *vocabulary.encode("system"), vocabulary.message]
        path = loaded.checkpoint.path
        return cls(copies.kept.parent, path, named(path, made_from), header)

    def misses(self, tokens: Sequence[int]) -> bool:
        """Whether these are not kept and could be."""
        with suppress(OSError):
            return not self.refused and self._is_wanted(tokens) and not self._file(tokens).exists()
        return False

    def recall(self, tokens: Sequence[int]) -> list[np.ndarray] | None:
        """The pages of these tokens by layer; None if they are not kept.

        A file that is damaged, or that another user could have written, is removed.
        """
        if not self._is_wanted(tokens):
            return None
        file = self._file(tokens)
        try:
            pages = _read(file)
        except OSError:
            return None
        with suppress(OSError):
            if pages is None:
                file.unlink(missing_ok=True)
            else:
                os.utime(file)  # the newest are those that were used last
        return pages

    def keep(self, tokens: Sequence[int], pages: Sequence[np.ndarray]) -> None:
        """Keep the pages of these tokens, and no more files than the newest."""
        about = {"format": "ossia beginning", "digest": _digest(pages)}
        arrays = {str(layer): content for layer, content in enumerate(pages)}
        try:
            if self.checkpoint.exists():
                write(self._file(tokens), arrays, self.checkpoint, about, NEWEST)
        except (OssiaError, OSError):
            self.refused = True

    def _is_wanted(self, tokens: Sequence[int]) -> bool:
        return len(tokens) <= MOST_TOKENS and [*tokens[: len(self.header)]] == self.header

    def _file(self, tokens: Sequence[int]) -> Path:
        digest = hashlib.blake2b(array("i", tokens).tobytes(), digest_size=8)
        return self.folder / f"{self.origin}-{digest.hexdigest()}{_KIND}{SUFFIX}"


def _read(file: Path) -> list[np.ndarray] | None:
    """The pages in a file, if they are those that were written, and this user's."""
    try:
        arrays = read_file(file) if is_own(file) else {}
        # Copied, because whoever cut the file short would end who reads a view of it.
        pages = [np.array(arrays[str(layer)]) for layer in range(len(arrays))]
        return pages if pages and read_metadata(file)["digest"] == _digest(pages) else None
    except (OssiaError, KeyError):
        return None


def _digest(pages: Sequence[np.ndarray]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for content in pages:
        digest.update(repr(content.shape).encode() + content.tobytes())
    return digest.hexdigest()

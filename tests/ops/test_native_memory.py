"""When the native backend reads mapped weights: ahead, or, where memory is short, before they are computed with."""

import ctypes
import mmap
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ml_dtypes import bfloat16

from ossia.errors import BackendError
from ossia.mxfp4 import Packed
from ossia.ops import Experts, Linear, Role
from ossia.ops.native import NativeOps
from tests.ops.cases import normal

LIMIT = 7.0


def resident_share(array: np.ndarray) -> float:
    """How much of a mapped array's memory is filled, by the kernel's own count (mincore)."""
    pages = -(-array.nbytes // mmap.PAGESIZE)
    found = np.zeros(pages, np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (array.ctypes.data, array.nbytes, found.ctypes.data)
    assert libc.mincore(*map(ctypes.c_void_p, arguments)) == 0
    return float((found & 1).mean())


def mapped_from_disk(file: Path, content: bytes) -> np.ndarray:
    """uint8, mapped, and not in memory yet."""
    file.write_bytes(content)
    descriptor = os.open(file, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    mapped = np.frombuffer(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ), np.uint8)
    os.close(descriptor)
    if resident_share(mapped) > 0.1:
        pytest.skip("this file system keeps its files in memory")
    return mapped


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what lies in memory")
def test_mapped_weights_are_read_ahead(tmp_path: Path):
    # More than the 8 MiB that one call asks for at most.
    shape = (4096, 4096)
    mapped = mapped_from_disk(tmp_path / "weights", bytes(2 * shape[0] * shape[1])).view(bfloat16).reshape(shape)
    ops = NativeOps()
    kept = [ops.prepare(mapped[:2048], Role.LINEAR, "a"), ops.prepare(mapped[2048:], Role.EMBEDDING, "b")]
    ops.read_ahead()
    waiting = time.monotonic() + 30
    while resident_share(mapped[:2048]) < 1 and time.monotonic() < waiting:
        time.sleep(0.01)
    assert resident_share(mapped[:2048]) == 1
    assert resident_share(mapped[2048 + 1024 :]) == 0  # of an embedding, few rows are wanted
    # Pages that are in no page table yet come in at most 16 at a time, so that 4,096 of them would take 256 faults.
    assert ops._reader is not None
    ops._reader.join()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    assert mapped[:2048].view(np.uint8)[:, :: mmap.PAGESIZE].max() == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 64
    del kept


class Recording:
    """The native library, and what it was asked to read ahead."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.asked: list[tuple[int, int, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.library, name)

    def ossia_will_need(self, address: int, size: int, wait: int) -> None:
        self.asked.append((address, size, wait))
        self.library.ossia_will_need(address, size, wait)


def test_all_that_is_wanted_is_said_before_any_of_it_is_read():
    # A step that comes to a page before the reader does then brings 2 MiB, not 64 KiB in pages that lie scattered.
    ops = NativeOps()
    recording: Any = Recording(ops._library)
    ops._library = recording
    kept = [ops.prepare(np.zeros((rows, 64), bfloat16), Role.LINEAR, "w") for rows in (16, 32)]
    ops.read_ahead()
    assert ops._reader is not None
    ops._reader.join()
    spans = [span for weight in kept for span in weight.spans]
    assert recording.asked == [(*span, wait) for wait in (2, 1) for span in spans]


def test_where_memory_is_short_chosen_experts_are_read_before_they_are_computed_with():
    experts, width, rows = 8, 64, {"gate_up": 128, "down": 64}
    packed = {
        name: Packed(np.zeros((experts, count, 2, 16), np.uint8), np.full((experts, count, 2), 127, np.uint8))
        for name, count in rows.items()
    }
    ops = NativeOps(threads=2)
    weights = [ops.prepare(packed[name], Role.EXPERTS, name) for name in rows]
    both, x = Experts(*map(Linear, weights)), normal(2, 2, width)
    chosen, shares = np.array([[1, 6], [6, 3]], np.int32), np.full((2, 2), 0.5, np.float32)

    ops.read_ahead(experts=True)
    recording: Any = Recording(ops._library)
    ops._library = recording
    ops.experts(x, chosen, shares, both, LIMIT)
    assert recording.asked == []
    ops.read_ahead(experts=False)
    ops.experts(x, chosen, shares, both, LIMIT)
    wanted = {
        (array[expert].ctypes.data, array[expert].nbytes, 0)
        for name in rows
        for array in (packed[name].blocks, packed[name].scales)
        for expert in (1, 3, 6)
    }
    assert set(recording.asked) == wanted
    with pytest.raises(BackendError, match="expert 8"):
        ops.experts(x, np.array([[1, 8], [6, 3]], np.int32), shares, both, LIMIT)

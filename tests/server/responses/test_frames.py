"""Frames, wherever they lie."""

import errno
import gc
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.server.responses.frames import MOST_IN_MEMORY, Frames, framed, packed, unpacked


def open_files() -> set[str]:
    return {file.name for file in Path("/proc/self/fd").iterdir() if file.exists() or file.is_symlink()}


@given(st.lists(st.binary(max_size=50)), st.integers(1, 100))
def test_they_are_those_that_were_put_there(given: list[bytes], most: int):
    frames = Frames(most)
    for number, frame in enumerate(given):
        frames.append(frame)
        assert frames.bytes_in_memory <= most
        assert (len(frames), frames[number]) == (number + 1, frame)
    assert list(frames) == given


def test_a_long_stream_takes_little_memory():
    tracemalloc.start()
    try:
        frames = Frames()
        for number in range(20_000):
            frames.append(b"%d" % number * 200)
        taken, _ = tracemalloc.get_traced_memory()
        assert taken < 2 * MOST_IN_MEMORY + 20_000 * 16, "what is left of a frame is where it ends"
        assert frames[7] == b"7" * 200
        size = sum(map(len, frames))
        assert size > 15_000_000
        tracemalloc.reset_peak()
        assert sum(map(len, unpacked(packed(frames)))) == 0, "none of them ends as a frame does"
    finally:
        tracemalloc.stop()


def test_the_file_has_no_name_and_goes_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = open_files()
    frames = Frames(10)
    frames.append(b"more than ten bytes")
    assert list(tmp_path.iterdir()) == []
    assert len(open_files() - before) == 1
    del frames
    gc.collect()
    assert open_files() <= before


def test_a_full_disk_loses_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    frames, real, full = Frames(10), os.pwrite, False

    def write(file: int, data: bytes, place: int) -> Any:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data[:3], place)  # and no write need take all

    monkeypatch.setattr(os, "pwrite", write)
    given = [b"frame %d" % number for number in range(40)]
    for number, frame in enumerate(given):
        full = 10 <= number < 30
        frames.append(frame)
    assert list(frames) == given
    assert "No space left" in caplog.text


@given(st.lists(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))))
def test_packed_they_come_back_as_they_were(datas: list[dict[str, str]]):
    frames = [framed({"type": "response.created", "data": data}) for data in datas]
    assert list(unpacked(packed(frames))) == frames


def test_unpacking_takes_one_piece_at_a_time():
    frames = [framed({"type": "x", "number": number, "text": "a" * 1000}) for number in range(5000)]
    data = packed(frames)
    tracemalloc.start()
    try:
        assert sum(1 for _ in unpacked(data)) == 5000
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()

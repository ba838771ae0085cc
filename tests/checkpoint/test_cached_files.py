"""Files kept beside a checkpoint: where, by what name, and which are removed."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ossia.checkpoint.cached_files import SUFFIX, cache_folder, forget, is_own, named, write
from ossia.checkpoint.safetensors import read_file

ARRAYS = {"a": np.arange(64, dtype=np.uint8)}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"x")
    return folder


def test_where_files_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("OSSIA_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("OSSIA_CACHE", "")
    assert cache_folder() is None
    monkeypatch.delenv("OSSIA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "ossia"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "ossia"


def test_a_name_is_of_the_files_as_they_are_and_of_what_is_said_besides(checkpoint: Path):
    before = named(checkpoint, [1, "fast"])
    assert before == named(checkpoint, [1, "fast"])
    assert before != named(checkpoint, [1, "exact"])
    (checkpoint / "model.safetensors").write_bytes(b"yy")
    assert before != named(checkpoint, [1, "fast"])
    assert before.partition("-")[0] == named(checkpoint, []).partition("-")[0], "the place has not changed"


def test_what_is_written_is_read_and_is_nobody_else_s(checkpoint: Path, tmp_path: Path):
    file = tmp_path / "cache" / f"{named(checkpoint, [])}{SUFFIX}"
    write(file, ARRAYS, checkpoint, {"format": "test"})
    np.testing.assert_array_equal(read_file(file)["a"], ARRAYS["a"])
    assert is_own(file)
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o620)
    assert not is_own(file)


def test_the_newest_of_a_kind_stay_and_other_kinds_do(checkpoint: Path, tmp_path: Path):
    start = tmp_path / "cache" / named(checkpoint, [])
    other = Path(f"{start}{SUFFIX}")
    write(other, ARRAYS, checkpoint, {})
    files = [Path(f"{start}-{number}.kind{SUFFIX}") for number in range(5)]
    for time, file in enumerate(files):
        write(file, ARRAYS, checkpoint, {}, newest=3)
        os.utime(file, (time, time))
    assert {*other.parent.iterdir()} == {other, *files[2:]}
    bytes_kept = sum(file.stat().st_size for file in other.parent.iterdir())
    assert forget(checkpoint, other.parent) == bytes_kept
    assert not list(other.parent.iterdir())


def test_writers_of_one_folder_do_not_mind_each_other(checkpoint: Path, tmp_path: Path):
    start = tmp_path / "cache" / named(checkpoint, [])
    files = [Path(f"{start}-{number % 3}.kind{SUFFIX}") for number in range(120)]
    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(lambda file: write(file, ARRAYS, checkpoint, {}, newest=2), files))
    assert {file.suffix for file in start.parent.iterdir()} == {SUFFIX}


def test_a_file_of_a_moment_ago_stays_for_its_writer_would_remove_this_one(checkpoint: Path, tmp_path: Path):
    first, second, third = (tmp_path / "cache" / f"{named(checkpoint, [n])}{SUFFIX}" for n in range(3))
    write(first, ARRAYS, checkpoint, {})
    os.utime(first, (0, 0))
    write(second, ARRAYS, checkpoint, {})
    assert {*first.parent.iterdir()} == {second}
    in_future = second.stat().st_mtime + 3600  # of a clock that was set back since
    os.utime(second, (in_future, in_future))
    write(first, ARRAYS, checkpoint, {})
    write(third, ARRAYS, checkpoint, {})
    assert {*first.parent.iterdir()} == {first, third}

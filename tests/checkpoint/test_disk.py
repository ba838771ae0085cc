import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ossia.checkpoint.disk import new_file, new_folder
from ossia.errors import CapacityError, CheckpointError

MAKERS = [new_folder, new_file]


def fill(place: Path) -> None:
    (place / "inside" if place.is_dir() else place).write_bytes(b"all of it")


def fail_while_writing(make: Callable, target: Path, error: BaseException) -> None:
    with make(target, 10) as place:
        fill(place)
        raise error


@pytest.mark.parametrize("make", MAKERS)
def test_the_name_is_given_at_the_end(tmp_path: Path, make: Callable):
    target = tmp_path / "new" / "model"
    with make(target, 10) as place:
        assert not target.exists()
        assert place.parent == target.parent
        fill(place)
    assert target.exists()
    assert list(target.parent.iterdir()) == [target]
    assert target.stat().st_mode & 0o444 == 0o444


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), OSError(errno.EIO, "broken")])
def test_nothing_is_left_after_an_error(tmp_path: Path, make: Callable, error: BaseException):
    with pytest.raises((type(error), CheckpointError)):
        fail_while_writing(make, tmp_path / "model", error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_disk_that_becomes_full_is_a_lack_of_capacity(tmp_path: Path, make: Callable, code: int):
    with pytest.raises(CapacityError, match="the disk became full"):
        fail_while_writing(make, tmp_path / "model", OSError(code, "no room"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", MAKERS)
def test_a_disk_that_is_too_small_is_told_before(tmp_path: Path, make: Callable):
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(CapacityError, match=r"needs .* GiB, the disk has .* GiB free"), make(tmp_path / "m", free):
        pytest.fail("nothing may be written")
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_not_touched(tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "file").write_text("mine")
    for make in MAKERS:
        with pytest.raises(CheckpointError, match="exists already"), make(tmp_path / "model", 10):
            pytest.fail("nothing may be written")
    with pytest.raises(CheckpointError, match="exists already"), new_folder(tmp_path / "model" / "file", 10):
        pytest.fail("nothing may be written")
    assert (tmp_path / "model" / "file").read_text() == "mine"


def test_an_empty_folder_may_be_filled(tmp_path: Path):
    (tmp_path / "model").mkdir()
    with new_folder(tmp_path / "model", 10) as place:
        fill(place)
    assert (tmp_path / "model" / "inside").exists()


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CheckpointError, match="cannot be written"), new_folder(tmp_path / "file" / "model", 10):
        pytest.fail("nothing may be written")

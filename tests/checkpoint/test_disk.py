import errno
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ossia.checkpoint import disk
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
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, r"the disk became full; 0\.06 GiB are needed"),
        (errno.EDQUOT, "the disk's quota is used up"),
        (errno.EFBIG, "a file may not become as large as it must here .*ulimit -f"),
    ],
)
def test_a_disk_that_becomes_full_is_a_lack_of_capacity(tmp_path: Path, make: Callable, code: int, words: str):
    with pytest.raises(CapacityError, match=words):
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


@pytest.mark.parametrize("make", MAKERS)
def test_a_disk_that_is_read_only_is_not_called_full(tmp_path: Path, make: Callable, monkeypatch: pytest.MonkeyPatch):
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for name in ("mkdtemp", "mkstemp"):
        monkeypatch.setattr(disk.tempfile, name, refused)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(CheckpointError, match="cannot be written: Read-only file system"), make(tmp_path / "m", 10):
        pytest.fail("nothing can be written")


def test_a_limit_on_the_size_of_files_is_what_it_is(tmp_path: Path):
    """As under `ulimit -f`."""
    code = (
        "import resource, sys; from pathlib import Path; from ossia.checkpoint.disk import new_file\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "with new_file(Path(sys.argv[1]), 10) as place: place.write_bytes(bytes(10_000))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model")], capture_output=True, text=True, check=False
    )
    assert "CapacityError" in shown.stderr
    assert "a file may not become as large as it must here" in shown.stderr
    assert list(tmp_path.iterdir()) == []


def test_of_two_who_write_the_same_file_the_last_one_stays(tmp_path: Path):
    file = tmp_path / "file"
    with new_file(file, 1, mode=0o600, replaces=True) as slow:
        slow.write_text("slow")
        with new_file(file, 1, replaces=True) as quick:
            quick.write_text("quick")
        assert file.read_text() == "quick"
        assert slow.stat().st_mode & 0o777 == 0o600
    assert file.read_text() == "slow"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [*tmp_path.iterdir()] == [file]

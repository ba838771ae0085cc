"""Files that are there whole or not at all."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from ossia.cli._writing import written
from ossia.errors import RequestError


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def fill(file: BinaryIO) -> None:
    file.write(b"half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_is_written(tmp_path: Path):
    for over in (False, True):
        with written(tmp_path / "x", over=over) as file:
            file.write(b"content %d" % over)
        assert (tmp_path / "x").read_bytes() == b"content %d" % over
        assert (tmp_path / "x").stat().st_mode & 0o777 == 0o644
    assert names(tmp_path) == ["x"]


def test_an_older_file_stays_unless_it_may_go(tmp_path: Path):
    (tmp_path / "x").write_text("old")
    with pytest.raises(RequestError, match="of this name already"), written(tmp_path / "x", over=False) as file:
        file.write(b"new")
    assert (tmp_path / "x").read_text() == "old"


@pytest.mark.parametrize("over", [False, True])
def test_a_failure_leaves_nothing_and_names_the_file(tmp_path: Path, over: bool):
    out = tmp_path / "x"
    if over:
        out.write_text("old")
    with pytest.raises(OSError, match="No space left") as failed, written(out, over=over) as file:
        fill(file)
    assert failed.value.filename == str(out)
    assert names(tmp_path) == (["x"] if over else [])
    assert not over or out.read_text() == "old"


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as failed, written(tmp_path / "x", over=True):
        (tmp_path / "other").read_bytes()
    assert failed.value.filename == str(tmp_path / "other")


def test_a_limit_that_the_system_sets(tmp_path: Path):
    """A file that grows too large fails at the last write or when it is closed; either is named."""
    code = f"""
import resource, pathlib
from ossia.cli._writing import written
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with written(pathlib.Path({str(tmp_path / "x")!r}), over=False) as file:
        file.write(bytes(2000))
except OSError as error:
    print(error.filename, error.strerror)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout == f"{tmp_path / 'x'} File too large\n"
    assert names(tmp_path) == []


def test_only_files_in_folders_that_exist(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RequestError, match="not a regular file"), written(tmp_path / "pipe", over=True):
        pass
    with pytest.raises(RequestError, match="there is no folder"), written(tmp_path / "no" / "x", over=True):
        pass

"""What is no file is refused at once."""

import os
import socket
from pathlib import Path

import pytest

from ossia.files import open_regular, read_regular


def test_a_file_is_read_and_through_a_link_too(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"text\r\n")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "file") == read_regular(tmp_path / "link") == b"text\r\n"


def test_a_pipe_is_refused_without_waiting(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(tmp_path / "pipe")


def test_a_device_a_folder_and_a_socket_are_refused(tmp_path: Path):
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(Path("/dev/zero"))
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match=r"."):
            open_regular(tmp_path / "socket")


def test_no_handle_is_left_open(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(3):
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(tmp_path / "pipe")
    assert len([*Path("/proc/self/fd").iterdir()]) == before

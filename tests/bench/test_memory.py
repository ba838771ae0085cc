"""What the bench of short memory stands on: memory that is really taken, and what the disk gives."""

import sys
from pathlib import Path

import pytest

from bench import memory
from ossia.loading import available_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")


def test_memory_is_taken_and_given_back():
    free = available_bytes() or 0
    if free < 3 << 30:
        pytest.skip("too little is free to take some of it")
    with memory.only_free((free - (1 << 30)) / memory.GIB) as holder:
        status = Path(f"/proc/{holder}/status").read_text()
    resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) << 10
    # Between the two looks at what is free others take and give memory.
    assert 1 << 29 < resident < 2 << 30
    assert not Path(f"/proc/{holder}").exists()


def test_more_than_there_is_cannot_be_left():
    with pytest.raises(SystemExit, match="less than 100000 GiB are free as it is"), memory.only_free(100000):
        pass


def test_the_disk_has_a_speed(tmp_path: Path):
    file = tmp_path / "file"
    file.write_bytes(bytes(24 << 20))
    try:
        assert 1e6 < memory.disk_speed(file) < 1e12
    except OSError:
        pytest.skip("this file system reads nothing past its cache")


def test_reading_is_accounted():
    assert memory.read_bytes() >= 0

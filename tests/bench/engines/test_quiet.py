"""Whether an engine had its processors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.engines import quiet
from bench.engines.quiet import Watch

TICKS = os.sysconf("SC_CLK_TCK")


def had(folder: Path, user: float, system: float) -> None:
    """As Linux writes it, for a program whose name has a bracket and spaces in it."""
    (folder / "7").mkdir(exist_ok=True)
    words = ["S", *map(str, range(10)), str(int(user * TICKS)), str(int(system * TICKS)), "5", "5"]
    (folder / "7" / "stat").write_text(f"7 (a ) b) {' '.join(words)}\n")


@pytest.mark.parametrize(
    ("threads", "user", "system", "waited"), [(1, 5, 4, 0.1), (2, 8, 1, 0.55), (2, 20, 0, 0.0), (1, 11, 0, 0.0)]
)
def test_the_share_is_of_what_its_threads_could_have_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, user: int, system: int, waited: float
):
    monkeypatch.setattr(quiet, "PROC", tmp_path)
    clock = iter((100.0, 110.0, 120.0))
    monkeypatch.setattr(quiet.time, "monotonic", lambda: next(clock))
    had(tmp_path, 300, 30)
    watch = Watch(7, threads)
    had(tmp_path, 300 + user, 30 + system)
    assert watch.waited() == pytest.approx(waited, abs=0.01)
    # The next figure is of what came after.
    had(tmp_path, 300 + user + 10 * threads, 30 + system)
    assert watch.waited() == pytest.approx(0.0, abs=0.01)


def test_who_sleeps_has_no_processor():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True) as program:
        watch = Watch(program.pid, 1)
        watch.waited()
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)"], check=True)
        assert watch.waited() > 0.8
        program.communicate("\n")

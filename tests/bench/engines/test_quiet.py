"""What others take of the processors."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.engines import quiet

TICKS = os.sysconf("SC_CLK_TCK")


def machine(file: Path, busy_seconds: float, idle_seconds: float = 0.0) -> None:
    """As Linux writes it: work in six places, and in two of ten none."""
    idle, work = (int(seconds * TICKS) for seconds in (idle_seconds, busy_seconds / 6))
    file.write_text(f"cpu  {work} {work} {work} {idle} {idle} {work} {work} {work} 7 7\ncpu0 1 1 1 1\n")


def test_the_share_is_of_all_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(quiet, "STAT", tmp_path / "stat")
    monkeypatch.setattr(quiet.os, "cpu_count", lambda: 4)
    machine(tmp_path / "stat", 600, 9000)
    clock = iter((100.0, 130.0))
    monkeypatch.setattr(quiet.time, "monotonic", lambda: next(clock))

    def run() -> float:
        machine(tmp_path / "stat", 660, 9999)
        return 8.0

    value, others = quiet.beside(run)
    assert value == 8.0
    assert others == pytest.approx(60 / (30 * 4), abs=0.01)


def test_what_it_started_is_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(quiet, "STAT", tmp_path / "stat")
    machine(tmp_path / "stat", 600)

    def run() -> float:
        before = sum(os.times()[:4])
        subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
        machine(tmp_path / "stat", 600 + sum(os.times()[:4]) - before)
        return 0.0

    assert quiet.beside(run)[1] == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize(("busy", "seconds"), [(lambda passed: 0.0, 0.05), (lambda passed: 2.0 * passed, 0.5)])
def test_waiting_ends_with_quiet_or_with_patience(
    monkeypatch: pytest.MonkeyPatch, busy: Callable[[float], float], seconds: float
):
    begin = time.monotonic()
    monkeypatch.setattr(quiet, "_busy_seconds", lambda: busy(time.monotonic() - begin))
    monkeypatch.setattr(quiet.os, "cpu_count", lambda: 2)
    quiet.await_quiet(0.5, 0.5, 0.05)
    assert seconds <= time.monotonic() - begin < seconds + 0.4

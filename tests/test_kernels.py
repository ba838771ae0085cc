"""The native library's own tests, which are in C++, on this machine."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="no make on the PATH")
def test_the_native_tests_pass_whatever_additions_cost():
    done = subprocess.run(["make", "test-native"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert done.stdout.count("100% tests passed") == 2

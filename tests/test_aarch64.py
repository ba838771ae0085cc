"""The native library on AArch64, whatever this machine is: cross-compiled, and its tests run by qemu."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MISSING = [program for program in ("aarch64-linux-gnu-g++", "qemu-aarch64", "make") if shutil.which(program) is None]


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.skipif(
    MISSING != [],
    reason=f"no {', '.join(MISSING)} on the PATH; on Debian: apt-get install g++-aarch64-linux-gnu qemu-user make",
)
def test_the_native_tests_pass_with_dot_products_of_bytes_and_without():
    done = make("test-aarch64")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert done.stdout.count("100% tests passed") == 2


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on the PATH")
def test_what_is_missing_is_named():
    done = make("aarch64-programs", "AARCH64_PROGRAMS=sh no-such-program")
    assert done.returncode != 0
    assert "there is no no-such-program on the PATH" in done.stderr
    assert "apt-get install g++-aarch64-linux-gnu qemu-user" in done.stderr

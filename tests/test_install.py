"""What is shown while `make` sets up."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "install.py"
specification = importlib.util.spec_from_file_location("install", SCRIPT)
assert specification
assert specification.loader
install = importlib.util.module_from_spec(specification)
specification.loader.exec_module(install)


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("Collecting numpy>=2.0", "fetching packages: numpy"),
        ("  Downloading https://index.example/tiktoken-0.9.0.whl (1.2 MB)", "fetching packages: tiktoken"),
        ("  Using cached regex-2026.11.19-cp311.whl (0.8 MB)", "fetching packages: regex"),
        ("  *** Configuring CMake...", "preparing the native library"),
        ("  [12/34] Building CXX object native/CMakeFiles/x.o", "compiling the native library: 12 of 34"),
        ("Installing collected packages: regex, numpy", "installing packages"),
        ("  Created wheel for ossia", None),
    ],
)
def test_what_a_line_tells(line: str, step: str | None):
    assert install.step_of(line) == step


def test_a_failure_shows_what_pip_said(tmp_path: Path):
    log = tmp_path / "install.log"
    command = [sys.executable, SCRIPT, log, "--no-index", "--find-links", tmp_path, "no-such-package"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert shown.returncode == 1
    assert shown.stdout == ""
    assert "No matching distribution found for no-such-package" in shown.stderr
    assert shown.stderr.endswith(f"pip failed; all that it said is in {log}\n")
    assert "No matching distribution found" in log.read_text()

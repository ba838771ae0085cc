"""A process that is told to end clears away what it began."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ossia.checkpoint import published_configs

COMMAND = [sys.executable, "-m", "ossia"]
PATIENCE_SECONDS = 60


@pytest.fixture(autouse=True)
def _nothing_is_ignored() -> Iterator[None]:
    """Behind `nohup` and `&` the tests themselves ignore signals, and so would what they start."""
    ignored = {number for number in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_IGN}
    for number in ignored:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def shown_with(modules: Path) -> subprocess.CompletedProcess[str]:
    """A command that ends at once, with modules of a folder in the place of others of their name."""
    env = os.environ | {"PYTHONPATH": str(modules)}
    return subprocess.run([*COMMAND, "show", "nano"], env=env, capture_output=True, text=True, check=False)


def until_begun(folder: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not list(folder.glob(".*.part")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A config of a model that takes its time to be drawn: 20b's with one layer."""
    config = json.loads(published_configs()["20b"].read_text("utf-8"))
    config |= {"num_hidden_layers": 1, "layer_types": ["full_attention"]}
    file = tmp_path / "large.json"
    file.write_text(json.dumps(config), "utf-8")
    return file


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)], ids=lambda one: str(one)
)
def test_what_is_half_written_is_cleared_away(large: Path, tmp_path: Path, number: int, status: int):
    target = tmp_path / "made"
    target.mkdir()
    with started("make-random", str(large), "--out", str(target / "random")) as process:
        until_begun(target, process)
        process.send_signal(number)
        assert process.communicate(timeout=PATIENCE_SECONDS) == ("", "")
    assert process.returncode == status
    assert list(target.iterdir()) == []


def test_what_nohup_ignores_stays_ignored():
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); from ossia.cli._signals import heed; heed(); "
    code += "signal.raise_signal(signal.SIGHUP); print('alive')"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout == "alive\n"


# Modules whose import is still to come when the interpreter has found ours: ctrl-c strikes while each begins.
@pytest.mark.parametrize("module", ["ossia.cli", "argparse", "ossia.cli.show", "ossia.checkpoint", "numpy"])
def test_ctrl_c_during_imports_is_one_clean_end(tmp_path: Path, module: str):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Striking:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Striking())\n",
        "utf-8",
    )
    shown = shown_with(tmp_path)
    assert (shown.returncode, shown.stdout, shown.stderr) == (130, "", "")


def test_ctrl_c_that_an_extension_module_made_an_import_error(tmp_path: Path):
    (tmp_path / "numpy.py").write_text(
        "import os, signal\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "except KeyboardInterrupt as error:\n"
        "    raise ImportError('no capsule') from error\n",
        "utf-8",
    )
    shown = shown_with(tmp_path)
    assert (shown.returncode, shown.stdout, shown.stderr) == (130, "", "")
    # Without ctrl-c it is what it is: a broken installation.
    (tmp_path / "numpy.py").write_text("raise ImportError('no capsule')\n", "utf-8")
    shown = shown_with(tmp_path)
    assert shown.returncode == 1
    assert "ImportError: no capsule" in shown.stderr

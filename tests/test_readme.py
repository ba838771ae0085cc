"""The commands of README.md do what it shows.

A ```console block is run, line by line: what follows `$ ` is the command, the lines below are what it prints (`...`
stands for anything). A ```python block is run as it is. A `make` command is only looked up, since `make test` would
start this very test. The commands of a ```sh block are not run here: the test below lists them all, so that none hides
there.
"""

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from ossia.cli import verbs

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")

NOT_RUN = {
    "pip install .": "needs a package index",
}


class Example(NamedTuple):
    command: str
    expected: str


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def examples() -> list[Example]:
    parts = [part.partition("\n") for block in blocks("console") for part in re.split(r"^\$ ", block, flags=re.M)[1:]]
    return [Example(command, expected) for command, _, expected in parts]


def shell(command: str, folder: Path) -> str:
    """What a command prints on stdout. The programs are those of the environment that runs the tests."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, shell=True, cwd=folder, env=os.environ | {"PATH": path}, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_examples():
    assert len(examples()) >= 4


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.command)
def test_a_command_prints_what_is_shown(example: Example, tmp_path: Path):
    if example.command.startswith("make "):
        shell(example.command.replace("make ", "make --dry-run ", 1), ROOT)
        return
    shown = shell(example.command, tmp_path)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(example.expected or "...\n", shown, options), shown


@pytest.mark.parametrize("block", blocks("python"))
def test_python_runs(block: str, tmp_path: Path):
    shown = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert shown.returncode == 0, shown.stderr
    assert "1776" in shown.stdout


def test_commands_that_are_not_run_are_these():
    plain = [block for block in blocks("sh") if not block.startswith("ossia serve")]
    lines = {line for block in plain for line in block.splitlines() if line and not line.startswith("#")}
    assert lines == set(NOT_RUN)


def test_the_server_answers_as_shown(tmp_path: Path):
    """The block's first line starts a server in the background; the others are run against it, at a port of its own."""
    (block,) = (block for block in blocks("sh") if block.startswith("ossia serve"))
    start, commands = block.split("\n", 1)
    words = shlex.split(start.removesuffix("&"))[1:]
    command = [sys.executable, "-m", "ossia", *words, "--port", "0", "--no-store"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = re.search(r"http://[\d.:]+", server.stdout.readline())
            assert url is not None
            assert '"content":"1776"' in shell(commands.replace("http://127.0.0.1:8000", url[0]), tmp_path)
        finally:
            server.terminate()


def test_every_verb_that_is_shown_exists():
    words = [shlex.split(example.command) for example in examples()]
    named = {
        parts[1] for parts in words if parts[0] == "ossia" and not parts[1].startswith("-") and " " not in parts[1]
    }
    assert named <= verbs().keys()


def test_every_verb_is_shown():
    assert [verb for verb in verbs() if f"ossia {verb}" not in README] == []

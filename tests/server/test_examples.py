"""The commands of docs/server.md do what it says, on a server of the embedded model."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_serve import running

PAGE = (Path(__file__).parents[2] / "docs/server.md").read_text("utf-8")

BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

EXPECTED = (
    r'"content":"(yes|no)".*"max_reasoning_tokens":\d+',
    r'"id":"resp_.*event: response\.completed',
    r"",
    r'"tokens":\[\d+,\d+\].*"text":".*"text":"<\|start\|>system.*"settings"',
)
"""What each prints, in order."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running("nano", "--threads", "1", "--quiet") as (_, (address, *_), _):
        yield address


def test_each_example_has_its_expectation():
    assert len(BLOCKS) == len(EXPECTED)


@pytest.mark.parametrize(("block", "expected"), [*zip(BLOCKS, EXPECTED, strict=False)])
def test_an_example_runs(block: str, expected: str, address: str, tmp_path: Path):
    block = block.replace("http://127.0.0.1:8000", address).replace("curl ", "curl -sS --fail-with-body ")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path}
    done = subprocess.run(
        ["bash", "-ec", block], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(expected, done.stdout, re.DOTALL), done.stdout
    if "ossia batch" in block:
        assert '"status_code":200' in (tmp_path / "results.jsonl").read_text()

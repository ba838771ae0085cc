import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ossia.checkpoint import open_checkpoint
from ossia.cli import main
from ossia.cli import train as verb


def test_a_package_without_the_recipe_says_where_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(verb, "_SOURCE", tmp_path)
    assert main(["train", "nano"]) == 1
    assert "in a clone of Ossia's repository" in capsys.readouterr().err


def torch_found(monkeypatch: pytest.MonkeyPatch, found: object) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found if name == "torch" else find(name))


def test_where_there_is_no_torch_the_next_step_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("trains without torch"))
    torch_found(monkeypatch, None)
    assert main(["train", "nano"]) == 1
    assert capsys.readouterr().err == (
        "ossia: training needs torch, which this installation has not; `make develop` in the clone brings it\n"
    )


@pytest.mark.parametrize("words", [["train", "mega"], ["train", "nano", "--steps", "0"]])
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], words: list[str]):
    with pytest.raises(SystemExit) as exit_:
        main(words)
    assert exit_.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) <= 2


class Became(Exception):  # noqa: N818 # not an error: the process is another program from here on
    pass


def test_it_becomes_the_recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def execv(program: str, command: list[str]) -> None:
        raise Became(program, command, Path.cwd())

    monkeypatch.chdir(tmp_path)
    torch_found(monkeypatch, object())
    monkeypatch.setattr(os, "execv", execv)
    with pytest.raises(Became) as became:
        main(["train", "nano", "--out", "made", "--steps", "3", "--device", "cuda", "--count", "0"])
    expected = ["--output", str(tmp_path / "made"), "--count", "0", "--device", "cuda", "--steps", "3"]
    command = [sys.executable, "-m", "recipes.nano", *expected]
    assert became.value.args == (sys.executable, command, verb._SOURCE)


@pytest.mark.torch
@pytest.mark.slow
def test_it_makes_a_model_that_opens(tmp_path: Path):
    recipe = [sys.executable, "-m", "recipes.nano", "--output", str(tmp_path), "--steps", "2", "--tokens", "256"]
    options = ["--processes", "1", "--no-compile", "--count", "0"]
    subprocess.run([*recipe, *options], cwd=verb._SOURCE, check=True, timeout=600)
    assert open_checkpoint(tmp_path / "model").config.vocab_size == 2048

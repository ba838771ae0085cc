import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from ossia.train.packing import PrefixedBatch
from ossia.train.train_ops import TrainOps
from ossia.train.trainer import TrainingConfig, batch_loss
from recipes.nano import train
from recipes.nano.train import CHECKPOINT, CURVE, new_trainer

pytestmark = pytest.mark.torch

ROOT = Path(__file__).parents[2]
STEPS, TOKENS = 5, 256
LONG = 240.0  # seconds; a busy machine starts torch slowly


def start(output: Path, processes: int = 1) -> subprocess.Popen[bytes]:
    arguments = [
        "--output",
        str(output),
        "--steps",
        str(STEPS),
        "--tokens",
        str(TOKENS),
        "--save-every",
        "0",
        "--no-compile",
    ]
    command = [sys.executable, "-m", "recipes.nano.train", *arguments, "--processes", str(processes)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)


def state(output: Path) -> dict[str, Any]:
    return torch.load(output / CHECKPOINT, weights_only=True)


def finished(run: subprocess.Popen[bytes]) -> str:
    _, told = run.communicate(timeout=LONG)
    assert run.returncode == 0, told.decode()
    return told.decode()


def kill_after_saving(output: Path) -> None:
    run, deadline = start(output), time.monotonic() + LONG
    while not (output / CHECKPOINT).exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.communicate()


def test_a_killed_run_goes_on_to_the_same_end(tmp_path: Path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    uninterrupted = start(whole)
    kill_after_saving(killed)
    assert 1 <= (saved := state(killed)["step"]) <= STEPS
    assert f"goes on from step {saved} of {killed / CHECKPOINT}" in finished(start(killed))
    finished(uninterrupted)
    ours, theirs = state(killed), state(whole)
    assert ours["losses"] == theirs["losses"]
    for name, value in theirs["parameters"].items():
        assert torch.equal(ours["parameters"][name], value), name
    assert (killed / CURVE).read_bytes().startswith(b"\x89PNG")


def test_batches_for_a_device_can_be_made_in_processes_that_start_anew():
    made = new_trainer(TrainingConfig(steps=STEPS, device="cpu:0"), TOKENS, rows=2).data
    sent = pickle.loads(pickle.dumps(made))(STEPS - 1, 0)
    assert sent.tokens.shape == (2, TOKENS + 160)
    np.testing.assert_array_equal(sent.tokens, made(STEPS - 1, 0).tokens)


def test_two_processes_learn_from_the_batches_of_both(tmp_path: Path):
    finished(start(tmp_path, processes=2))
    first = state(tmp_path)["losses"][0]
    trainer = new_trainer(TrainingConfig(steps=STEPS), TOKENS)
    batches = [cast(PrefixedBatch, trainer.data(0, rank)) for rank in range(2)]
    with torch.no_grad():
        alone = [batch_loss(TrainOps(), trainer.config, trainer.parameters, batch).item() for batch in batches]
    assert first == pytest.approx(sum(alone) / 2, abs=1e-5)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--rows 4", "--rows are a GPU's; --tokens or --processes, or --device cuda, is right"),
        ("--device cuda --processes 3", "--processes are the processor's, and --device is cuda; --rows is right there"),
        ("--share ordering", "a name and a number from 0 on, as ordering=20, is right"),
        ("--share ordering=-1", "a name and a number from 0 on"),
        ("--share sorting=2", "no skill or setting is named 'sorting'; one of sums,"),
        ("--device gpu", "cpu is right, or cuda where a GPU is and torch was made for it"),
        ("--steps 0", "argument --steps: '0' is not a whole number from 1 on"),
        ("--tokens -9", "argument --tokens: '-9' is not a whole number from 1 on"),
        ("--processes 0", "argument --processes: '0' is not a whole number from 1 on"),
        ("--from nowhere.pt", "--from nowhere.pt: there is no such file; the checkpoint of another run is right"),
    ],
)
def test_what_cannot_be_had_is_refused(
    words: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["train", "--output", str(tmp_path), *words.split()])
    monkeypatch.setattr(train, "_train", lambda *_: None)
    monkeypatch.setattr(train, "run_ranks", lambda *_: None)
    with pytest.raises(SystemExit) as exit_:
        train.main()
    assert exit_.value.code == 2
    assert says in capsys.readouterr().err

import contextlib
import math
import pickle
import zipfile
from pathlib import Path
from random import Random

import pytest
import torch

from ossia.errors import CheckpointError, OssiaError
from ossia.train.packing import Group, pack
from ossia.train.parameters import initial_parameters
from ossia.train.train_ops import TrainOps
from ossia.train.trainer import Progress, Trainer, TrainingConfig, batch_loss, read_checkpoint
from tests.train.tiny import VOCABULARY, config, counting

pytestmark = pytest.mark.torch

STEPS = 12


def trainer(steps: int = STEPS) -> Trainer:
    # All phases within few steps: rates rise and fall, and rounding begins.
    training = TrainingConfig(steps=steps, warmup=2, quantise_from=0.5)
    return Trainer(config(), training, counting)


def ignore(progress: Progress) -> None:
    pass


class Stop(Exception):  # noqa: N818 # not an error: how a test interrupts
    pass


def test_going_on_from_a_file_gives_the_same_bits(tmp_path: Path):
    whole, first, second = trainer(), trainer(), trainer()
    whole.run(ignore)

    def interrupt(progress: Progress) -> None:
        if progress.step == 5:
            first.save(tmp_path / "checkpoint.pt")
        if progress.step == 7:
            raise Stop

    with pytest.raises(Stop):
        first.run(interrupt)
    second.load(tmp_path / "checkpoint.pt")
    assert second.step == 5
    second.run(ignore)
    assert second.losses == whole.losses
    for name, value in whole.parameters.items():
        assert torch.equal(second.parameters[name], value), name


def test_training_reduces_the_loss():
    one = trainer(150)
    one.run(ignore)
    assert one.losses[0] > 2.0
    assert sum(one.losses[-5:]) / 5 < 0.25 * one.losses[0]


def test_a_run_that_diverges_ends_and_says_so():
    one = trainer()
    one.parameters["lm_head.weight"].data[0] = math.nan
    with pytest.raises(OssiaError, match=r"loss of step 1 is nan; smaller rates \(muon_rate 0.006"):
        one.run(ignore)


def test_a_crash_while_saving_leaves_the_file_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one, path = trainer(), tmp_path / "checkpoint.pt"
    one.save(path)
    before = path.read_bytes()

    def fail(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        one.save(path)
    assert path.read_bytes() == before


def test_parameters_alone_begin_a_new_run(tmp_path: Path):
    one, other = trainer(2), trainer(2)
    one.run(ignore)
    one.save(tmp_path / "checkpoint.pt")
    other.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert other.step == 0
    assert other.losses == []
    assert torch.equal(other.parameters["model.embed_tokens.weight"], one.parameters["model.embed_tokens.weight"])


def test_another_models_file_is_refused(tmp_path: Path):
    torch.save({"step": 0, "losses": [], "parameters": {}, "optimisers": []}, tmp_path / "other.pt")
    with pytest.raises(OssiaError, match="another model"):
        trainer().load(tmp_path / "other.pt")


def junk(kind: str, file: Path) -> None:
    torch.save({"step": 1, "parameters": {"one": torch.zeros(1000)}}, file)
    whole = file.read_bytes()
    contents = {"text": b"hello\n", "empty": b"", "truncated": whole[:-200], "begun": whole[:50]}
    if kind in contents:
        file.write_bytes(contents[kind])
    elif kind == "pickle":
        file.write_bytes(pickle.dumps({"step": 1}))
    elif kind == "archive":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("letter", "hello")
    else:
        torch.save([1], file)


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "begun", "pickle", "archive", "list"])
def test_what_is_no_checkpoint_is_refused(kind: str, tmp_path: Path):
    junk(kind, file := tmp_path / "junk.pt")
    with pytest.raises(CheckpointError, match=r"junk\.pt: it is damaged or no checkpoint; a checkpoint that training"):
        read_checkpoint(file)


def test_a_checkpoint_with_a_bit_flipped_is_read_or_refused(tmp_path: Path):
    one, file = Random(0), tmp_path / "flipped.pt"
    torch.save({"step": 1, "losses": [1.5], "parameters": {"one": torch.zeros(2)}}, file)
    whole = file.read_bytes()
    for _ in range(300):
        flipped = bytearray(whole)
        flipped[one.randrange(len(whole))] ^= 1 << one.randrange(8)
        file.write_bytes(flipped)
        with contextlib.suppress(CheckpointError):
            read_checkpoint(file)


def test_a_checkpoint_that_is_not_there_or_is_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"none\.pt: No such file or directory; a checkpoint that training"):
        read_checkpoint(tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match="Is a directory; a checkpoint that training"):
        read_checkpoint(tmp_path)


def test_a_checkpoint_says_what_it_lacks(tmp_path: Path):
    torch.save({"parameters": {}}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"other\.pt: it holds no step, losses, optimisers; a checkpoint that"):
        trainer().load(tmp_path / "other.pt")


def test_rates_rise_then_fall_to_nothing():
    training = TrainingConfig(steps=100, warmup=10)
    rates = [training.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(rates[9])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.01)


def test_the_loss_is_the_mean_over_what_is_learned():
    parameters, batch = initial_parameters(config(), 0), counting(0, 0)
    # Without an unembedding every token is as likely as any other.
    parameters["lm_head.weight"].data.zero_()
    loss = batch_loss(TrainOps(torch.float32), config(), parameters, batch)
    assert loss.item() == pytest.approx(math.log(VOCABULARY))


def test_a_batch_with_nothing_to_learn_is_refused():
    batch = pack([Group([1, 2], [])])
    with pytest.raises(OssiaError, match="nothing in this batch"):
        batch_loss(TrainOps(), config(), initial_parameters(config(), 0), batch)

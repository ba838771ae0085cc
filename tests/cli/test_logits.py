"""`ossia logits`."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from ossia.checkpoint import open_checkpoint
from ossia.cli import main
from ossia.model import forward, prepare
from ossia.ops import Batch, make_ops
from tests.cli.tiny import CONFIG, CONTEXT

TOKENS = [1, 5, 999, 7, 5, 5, 300, *range(40, 140)]


def tokens_file(folder: Path, content: object = TOKENS) -> Path:
    file = folder / "tokens.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


@pytest.mark.parametrize("backend", ["native", "reference", pytest.param("torch", marks=pytest.mark.torch)])
def test_every_row_is_the_models(tiny: Path, tmp_path: Path, backend: str):
    out = tmp_path / "logits.npy"
    assert main(["logits", str(tiny), str(tokens_file(tmp_path)), "--out", str(out), "--backend", backend]) == 0
    found = np.load(out)
    ops = make_ops("reference")
    right = forward(ops, CONFIG, prepare(ops, CONFIG, open_checkpoint(tiny).tensors), Batch.packed([TOKENS]))
    assert found.dtype == np.float32
    assert found.shape == (len(TOKENS), CONFIG.vocab_size)
    # The bound of the whole-model tests, whatever the order of additions.
    assert np.abs(found - right).max() <= 1e-5 * np.abs(right).max()


def test_keys_and_values_are_kept_as_is_asked(tiny: Path, tmp_path: Path):
    found = []
    for dtype in ("f32", "bf16", "int8"):
        words = ["--backend", "reference", "--kv-cache-dtype", dtype]
        assert main(["logits", str(tiny), str(tokens_file(tmp_path)), "--out", str(tmp_path / "out.npy"), *words]) == 0
        found.append(np.load(tmp_path / "out.npy"))
    ops = make_ops("reference", kv_cache_dtype="int8")
    right = forward(ops, CONFIG, prepare(ops, CONFIG, open_checkpoint(tiny).tensors), Batch.packed([TOKENS]))
    assert np.abs(found[2] - right).max() <= 1e-5 * np.abs(right).max()
    assert np.abs(found[0] - found[2]).max() > np.abs(found[0] - found[1]).max() > 0


def test_the_file_is_replaced_whole(tiny: Path, tmp_path: Path):
    out = tmp_path / "logits.npy"
    out.write_text("old")
    assert (
        main(["logits", str(tiny), str(tokens_file(tmp_path, [3])), "--out", str(out), "--backend", "reference"]) == 0
    )
    assert np.load(out).shape == (1, CONFIG.vocab_size)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["logits.npy", "tokens.json"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{not json", "not readable JSON"),
        ("[" * 100_000, "not readable JSON"),
        ({"tokens": [1]}, "holds a JSON object; a list of token ids is right"),
        ([], "the list is empty; at least one token id is right"),
        ([1, CONFIG.vocab_size], "entry 1 is 1009; a token id from 0 to 1008 is right"),
        ([-1], "entry 0 is -1"),
        ([1, 2.0], "entry 1 is 2.0"),
        ([True], "entry 0 is true"),
        (["a"], 'entry 0 is "a"'),
        ([10**400], "entry 0 is 1000"),
        ([0] * (CONTEXT + 1), f"{CONTEXT + 1} tokens; at most the model's context of {CONTEXT} is right"),
    ],
)
def test_bad_ids_are_named(tiny: Path, tmp_path: Path, capsys, content: object, complaint: str):
    file, out = tokens_file(tmp_path, content), tmp_path / "logits.npy"
    assert main(["logits", str(tiny), str(file), "--out", str(out), "--backend", "reference"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"ossia: {file}: ")
    assert complaint in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_no_file_no_folder(tiny: Path, tmp_path: Path, capsys):
    missing = tmp_path / "missing.json"
    assert main(["logits", str(tiny), str(missing), "--out", str(tmp_path / "x.npy"), "--backend", "reference"]) == 1
    assert capsys.readouterr().err == (
        f"ossia: {missing}: No such file or directory; a JSON file with a list of token ids is right\n"
    )
    out = tmp_path / "nowhere" / "x.npy"
    assert main(["logits", str(tiny), str(tokens_file(tmp_path)), "--out", str(out), "--backend", "reference"]) == 1
    assert f"there is no folder {out.parent}" in capsys.readouterr().err


def test_a_failure_leaves_the_old_file(tiny: Path, tmp_path: Path, monkeypatch, capsys):
    out = tmp_path / "logits.npy"
    out.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ossia.cli.logits.write_header", full)
    assert main(["logits", str(tiny), str(tokens_file(tmp_path)), "--out", str(out), "--backend", "reference"]) == 1
    assert capsys.readouterr().err == f"ossia: {out}: No space left on device\n"
    assert out.read_text() == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["logits.npy", "tokens.json"]


def test_a_device_is_not_replaced(tiny: Path, tmp_path: Path, capsys):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert main(["logits", str(tiny), str(tokens_file(tmp_path, [3])), "--out", str(pipe)]) == 1
    assert "not a regular file" in capsys.readouterr().err
    assert pipe.is_fifo()

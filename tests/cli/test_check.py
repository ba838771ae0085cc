"""`ossia check`."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from ossia.checkpoint import expected_tensors, open_checkpoint, write
from ossia.cli import check, main
from ossia.errors import TensorError
from ossia.mxfp4 import Packed
from tests.cli.tiny import CONFIG, CONTEXT, VOCABULARY, write_tiny


def test_a_whole_model_passes(tiny: Path, capsys):
    assert main(["check", str(tiny), "--backend", "reference", "--tokens", "20"]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert [line.split()[1] for line in lines] == ["config", "tensors", "tokenizer", "reference", "fast"]
    assert "parameters in 2 layers, 4 experts" in lines[0]
    assert f"{len(expected_tensors(CONFIG))} read" in lines[1]
    assert shown.err == ""


def test_the_same_as_json(tiny: Path, capsys):
    assert main(["check", str(tiny), "--backend", "reference", "--tokens", "20", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    figures = {one["name"]: one["figures"] for one in report["checks"]}
    assert report["passed"] is True
    assert report["kv_cache_dtype"] is None
    assert figures["tokenizer"]["size"] == VOCABULARY.size
    assert figures["fast"]["tokens"] == 20
    assert 0 < figures["fast"]["kl_mean"] <= figures["fast"]["kl_max"]


def test_what_a_cache_costs_is_told(tiny: Path, capsys):
    found = {}
    for dtype in ("f32", "bf16", "int8"):
        options = ["--tokens", "60", "--kv-cache-dtype", dtype]
        assert main(["check", str(tiny), *options]) == 0
        assert f"KL(exact || fast with a cache in {dtype}) " in capsys.readouterr().out.splitlines()[-1]
        assert main(["check", str(tiny), *options, "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["kv_cache_dtype"] == dtype
        found[dtype] = report["checks"][-1]["figures"]["kl_mean"]
    assert found["int8"] > found["bf16"] * 0.9
    assert len(set(found.values())) == 3


@pytest.mark.parametrize("backend", ["native", "reference", pytest.param("torch", marks=pytest.mark.torch)])
def test_turbo_is_compared_as_answers_are_written(tiny: Path, capsys, backend: str):
    """With the experts of each token alone, which may all be whole numbers: no further from `exact` than `fast` is."""
    found = {}
    for precision in ("fast", "turbo"):
        options = ["--backend", backend, "--precision", precision, "--tokens", "40"]
        assert main(["check", str(tiny), *options]) == 0
        assert f"KL(exact || {precision}) " in capsys.readouterr().out.splitlines()[-1]
        assert main(["check", str(tiny), *options, "--json"]) == 0
        checks = json.loads(capsys.readouterr().out)["checks"]
        found |= {one["name"]: one["figures"].get("kl_mean") for one in checks}
    assert 0 < found["turbo"] <= found["fast"] < 2e-3
    assert 0 < found["turbo, a prompt"] < 2e-3
    assert (found["turbo"] < found["fast"]) or backend == "native"


def test_a_bound_is_stated_and_what_is_beyond_it_is_no_failure_and_not_ok(tiny: Path, monkeypatch, capsys):
    options = ["check", str(tiny), "--precision", "turbo", "--tokens", "20"]
    for bound, mark, passed in ((1.0, "ok    ", True), (1e-12, "-     ", None)):
        monkeypatch.setitem(check.BOUNDS, "turbo", bound)
        assert main(options) == 0
        lines = capsys.readouterr().out.splitlines()[-2:]
        for line, name in zip(lines, ("turbo, a prompt", "turbo"), strict=True):
            assert line.startswith(f"{mark} {name:15} KL(exact || turbo) ")
            assert f"{'within' if passed else 'beyond'} the bound of {bound:.0e}; " in line
        assert main([*options, "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["passed"] is True
        assert [one["passed"] for one in report["checks"][-2:]] == [passed, passed]
        assert report["checks"][-1]["figures"]["kl_mean_bound"] == bound


def test_each_precision_has_a_bound_of_its_own():
    found = {
        (mean, precision): check.divergence([check.Distance(mean, True)], precision).passed
        for mean in (4e-4, 1e-3, 3e-3)
        for precision in ("fast", "turbo")
    }
    assert [key for key, passed in found.items() if passed] == [(4e-4, "fast"), (4e-4, "turbo"), (1e-3, "turbo")]
    assert False not in found.values()


def test_another_backend_is_compared_with_the_reference(tiny: Path, capsys):
    assert main(["check", str(tiny), "--tokens", "20", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    found = {one["name"]: one for one in report["checks"]}["reference"]
    assert found["passed"] is True
    assert 0 < found["figures"]["error"] <= check.TOLERANCE


@pytest.mark.parametrize(("name", "value"), [("lm_head.weight", np.nan), ("model.layers.1.self_attn.sinks", np.inf)])
def test_a_value_that_is_no_number_is_found(tmp_path: Path, capsys, name: str, value: float):
    tensors = dict(open_checkpoint(write_tiny(tmp_path / "whole")).tensors)
    tensors[name] = damaged = np.array(tensors[name])
    damaged.flat[7 % damaged.size] = value
    write(tmp_path / "damaged", CONFIG, tensors, tokenizer=VOCABULARY.to_tokenizer_json())
    assert main(["check", str(tmp_path / "damaged"), "--backend", "reference", "--tokens", "4"]) == 1
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith("FAILED tensors")
    assert f"1 damaged: {name}: holds NaN or infinity" in line


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose weights are finite, and whose sums are not."""
    folder = tmp_path_factory.mktemp("models")
    tensors = dict(open_checkpoint(write_tiny(folder / "whole")).tensors)
    for name, tensor in tensors.items():
        if name.endswith(("_proj.weight", "norm.weight")):
            tensors[name] = (np.sign(np.asarray(tensor)) * 3e38).astype(ml_dtypes.bfloat16)
    write(folder / "overflowing", CONFIG, tensors, tokenizer=VOCABULARY.to_tokenizer_json())
    return folder / "overflowing"


def test_weights_that_overflow_are_a_finding_and_not_warnings(overflowing: Path, capsys):
    assert main(["check", str(overflowing), "--tokens", "8", "--json"]) == 1
    shown = capsys.readouterr()
    report = json.loads(shown.out, parse_constant=pytest.fail)
    found = {one["name"]: one for one in report["checks"]}
    assert found["tensors"]["passed"] is True
    for name in ("reference", "fast"):
        assert found[name]["passed"] is False
        assert found[name]["words"] == check.NO_NUMBERS
    assert shown.err == ""


def test_other_verbs_say_so_too(overflowing: Path, tmp_path: Path, capsys):
    assert main(["bench", str(overflowing), "--prompt", "4", "--generate", "2", "--repeats", "1"]) == 1
    assert "no token could be drawn: the logits are not finite" in capsys.readouterr().err
    (tmp_path / "tokens.json").write_text("[1, 2, 3]")
    out = tmp_path / "logits.npy"
    assert main(["logits", str(overflowing), str(tmp_path / "tokens.json"), "--out", str(out)]) == 0
    assert capsys.readouterr().err == f"{out}: 3 of 3 rows are not finite numbers\n"
    assert np.load(out).shape == (3, CONFIG.vocab_size)


def test_a_scale_that_is_no_number_is_found():
    packed = Packed(np.zeros((2, 1, 16), np.uint8), np.array([[127], [255]], np.uint8))
    with pytest.raises(TensorError, match="layer: the scale of block"):
        check.check_values(packed, "layer")


def test_divergence_is_kullback_leiblers():
    p, q = np.log(np.array([[0.5, 0.25, 0.25]])), np.log(np.array([[0.25, 0.5, 0.25]]))
    found = check.divergence(check.distances(p, q))
    assert found.figures["kl_mean"] == pytest.approx(0.25 * np.log(2))
    assert found.figures["same_best"] == 0.0
    assert check.divergence(check.distances(p, p)).figures["kl_max"] == 0.0


def test_the_pieces_are_one_divergence():
    p, q = np.random.default_rng(0).normal(size=(2, 7, 30)).astype(np.float32)
    whole = check.divergence(check.distances(p, q))
    assert check.divergence(check.distances(p[:4], q[:4]) + check.distances(p[4:], q[4:])) == whole
    # Logits are known up to a constant a row.
    shifted = check.divergence(check.distances(p + 5, q - 3))
    assert shifted.figures["kl_mean"] == pytest.approx(whole.figures["kl_mean"], rel=1e-5)


def test_a_length_beyond_the_context_is_refused_and_one_of_it_is_not(tiny: Path, capsys):
    assert main(["check", str(tiny), "--tokens", str(CONTEXT + 1)]) == 1
    assert "--tokens is 513; at most the model's context of 512 is right" in capsys.readouterr().err
    assert main(["check", str(tiny), "--tokens", str(CONTEXT), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {one["name"]: one for one in report["checks"]}["fast"]["figures"]["tokens"] == CONTEXT


def test_logits_are_held_a_piece_at_a_time(tiny: Path, monkeypatch, capsys):
    monkeypatch.setattr(check, "ROWS", 16)
    shapes: list[int] = []

    def seen(exact: np.ndarray, fast: np.ndarray) -> float:
        shapes.append(exact.size)
        assert exact.base is None or exact.base.size <= 16 * CONFIG.vocab_size
        return 0.0

    monkeypatch.setattr(check, "_divergence", seen)
    assert main(["check", str(tiny), "--backend", "reference", "--tokens", "100"]) == 0
    assert shapes == [CONFIG.vocab_size] * 100
    capsys.readouterr()


def test_a_tokenizer_larger_than_the_model_is_a_finding(tmp_path: Path, capsys):
    model = write_tiny(tmp_path / "tiny")
    (model / "tokenizer.json").write_bytes(VOCABULARY.embedded().shortened(2000).to_tokenizer_json())
    assert main(["check", str(model), "--backend", "reference", "--tokens", "9", "--json"]) == 1
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    found = {one["name"]: one for one in report["checks"]}
    assert [*found] == ["config", "tensors", "tokenizer", "reference", "fast"]
    assert found["tokenizer"]["passed"] is False
    assert "the tokenizer has 2009 tokens and the model's vocab_size is 1009" in found["tokenizer"]["words"]
    assert found["fast"]["passed"] is True
    assert found["fast"]["figures"]["tokens"] == 9
    assert shown.err == ""


def test_a_model_too_small_for_the_published_tokenizer_is_checked_without(tmp_path: Path, capsys):
    model = write_tiny(tmp_path / "tiny")
    (model / "tokenizer.json").unlink()
    assert main(["check", str(model), "--backend", "reference", "--tokens", "9"]) == 0
    line = capsys.readouterr().out.splitlines()[2]
    assert line.startswith("-      tokenizer")
    assert "token ids drawn at random" in line


def test_bfloat16_experts_are_checked_too():
    check.check_values(np.ones((2, 3, 4), ml_dtypes.bfloat16), "x")
    with pytest.raises(TensorError, match="x: holds NaN"):
        check.check_values(np.full((2, 3, 4), np.nan, ml_dtypes.bfloat16), "x")

"""`ossia bench`."""

import json
import statistics
from pathlib import Path

import pytest

from ossia import loading
from ossia.cli import _bounds, _speed, main
from ossia.ops.native import NativeOps

SMALL = ["--backend", "reference", "--prompt", "20", "--generate", "3", "--repeats", "2"]


@pytest.fixture(autouse=True)
def _small_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bounds, "BUFFER_BYTES", 1 << 22)


def test_one_object_with_every_figure(tiny: Path, capsys):
    load = ["--batch", "2", "--depth", "5", "--kv-cache-dtype", "int8"]
    assert main(["bench", str(tiny), *SMALL, *load, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report.keys() == {
        *(
            "model",
            "isa",
            "backend",
            "precision",
            "kv_cache_dtype",
            "threads",
            "prompt",
            "generate",
            "batch",
            "depth",
            "repeats",
        ),
        *("prefill_tokens_per_second", "decode_tokens_per_second", "decode_bytes_per_step"),
        *("read_bandwidth_bytes_per_second", "decode_bound_fraction", "peak_rss_bytes", "peak_anonymous_bytes"),
        *("weights_bandwidth_bytes_per_second", "decode_weights_fraction"),
    }
    assert (report["prompt"], report["generate"], report["batch"], report["depth"]) == (20, 3, 2, 5)
    assert (report["backend"], report["precision"], report["kv_cache_dtype"]) == ("reference", "exact", "int8")


def test_the_instruction_set_is_told_where_there_is_one(tiny: Path, capsys):
    words = ["bench", str(tiny), "--prompt", "4", "--generate", "1", "--repeats", "1"]
    for backend, isa in (("reference", None), ("native", NativeOps().isa)):
        assert main([*words, "--backend", backend, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["isa"] == isa
    assert main(words) == 0
    assert f"native exact with {isa}, threads " in capsys.readouterr().out


def test_medians_and_the_bound_follow_from_the_figures(tiny: Path, capsys):
    assert main(["bench", str(tiny), *SMALL, "--repeats", "3", "--batch", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["repeats"]) == 3
    for name in ("prefill_tokens_per_second", "decode_tokens_per_second"):
        assert report[name] == statistics.median(repeat[name] for repeat in report["repeats"])
    steps = report["decode_tokens_per_second"] / 2
    allowed = report["read_bandwidth_bytes_per_second"] / report["decode_bytes_per_step"]
    assert report["decode_bound_fraction"] == pytest.approx(steps / allowed)
    allowed = report["weights_bandwidth_bytes_per_second"] / report["decode_bytes_per_step"]
    assert report["decode_weights_fraction"] == pytest.approx(steps / allowed)


def test_in_words(tiny: Path, capsys):
    assert main(["bench", str(tiny), *SMALL, "--precision", "fast"]) == 0
    shown = capsys.readouterr()
    assert "reference fast, threads auto" in shown.out
    assert "GB/s where the experts lie: " in shown.out
    assert "decode " in shown.out
    assert "of what that allows" in shown.out
    assert shown.err == ""


def test_a_load_beyond_the_context_is_refused(tiny: Path, capsys):
    assert main(["bench", str(tiny), *SMALL, "--prompt", "600"]) == 1
    said = "--depth, --prompt and --generate are 603 tokens together; fewer than 512 are right"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--batch", "0"], ["--prompt", "x"], ["--depth", "-1"]])
def test_impossible_loads_are_refused(tiny: Path, capsys, words: list[str]):
    with pytest.raises(SystemExit):
        main(["bench", str(tiny), *words])
    assert "is not a whole number from" in capsys.readouterr().err


def test_a_cache_larger_than_the_memory_is_refused_before_it_is_made(tiny: Path, monkeypatch, capsys):
    for module in (loading, _speed):
        monkeypatch.setattr(module, "available_bytes", lambda: 4 << 20)
    assert main(["bench", str(tiny), *SMALL, "--batch", "100000"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "the cache of 100000 requests of 24 tokens needs" in error
    assert "GiB in layers of sliding_attention and" in error
    most = int(error.partition("a batch of at most ")[2].partition(" is right")[0])
    # What is said to be right is, and one more is not.
    loaded = loading.load_weights(str(tiny), backend="reference")
    for batch, fits in ((most, True), (most + 1, False)):
        config = _speed.engine_config(_speed.Load(prompt=20, generate=3, batch=batch))
        needed = sum(_speed.needed_bytes(config, loaded.config, loaded.ops.stored_dtype).values())
        assert (needed <= 4 << 20) is fits


def test_where_not_even_one_request_fits(tiny: Path, monkeypatch, capsys):
    for module in (loading, _speed):
        monkeypatch.setattr(module, "available_bytes", lambda: 100)
    assert main(["bench", str(tiny), *SMALL]) == 1
    assert "fewer tokens (--prompt, --generate, --depth) are right" in capsys.readouterr().err

"""The plan's arithmetic: whole sizes, what memory holds, and the time that follows."""

from pathlib import Path

import pytest

from bench import plan

GB = 1e9


def test_what_fits_is_read_from_memory_alone():
    found = plan.planned("20b", 32, disk=1 * GB, bandwidth=30 * GB)
    assert (found["experts_held"], found["disk_bytes"]) == (1, 0)
    # Attention 0.64, unembedding 0.58 in 8 bits with a scale each 256; experts 1.27.
    assert found["token_bytes"] == pytest.approx(1.27 * GB + 1.22 * GB * (1 + 4 / 256), rel=0.01)
    assert found["tokens_per_second"] == pytest.approx(30 * GB / found["token_bytes"])


def test_what_does_not_fit_comes_from_the_disk():
    model = plan.published("120b").config
    # 36 layers of 4 experts of 3 * 2880 * 2880 values, at 17 bytes for 32.
    chosen = model.num_hidden_layers * 4 * 3 * 2880 * 2880 * 17 / 32
    none, some = (plan.planned("120b", memory, disk=1 * GB, bandwidth=30 * GB) for memory in (1, 24))
    assert none["experts_held"] == 0
    assert none["disk_bytes"] == pytest.approx(chosen, rel=0.01)
    assert some["disk_bytes"] == pytest.approx(chosen * (1 - some["experts_held"]), rel=0.01)
    assert some["tokens_per_second"] == pytest.approx(1 / (some["disk_bytes"] / GB + some["token_bytes"] / 30 / GB))


def test_the_page_gets_a_table_and_keeps_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = tmp_path / "performance.md"
    page.write_text("# Performance\n\nThe rest.\n")
    monkeypatch.setattr(plan, "PAGE", page)
    words = ["bench/plan.py", "--models", "120b", "--memory", "24", "--disk", "1e9", "--bandwidth", "30e9", "--save"]
    monkeypatch.setattr("sys.argv", words)
    for _ in range(2):
        plan.main()
    text = page.read_text()
    assert text.count("## Where memory is short") == 1
    assert "The rest." in text
    assert "| 120b | 24 GiB |" in text

"""The part of a page that a result makes."""

import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib import pyplot

from bench.engines.page import BEGIN, END, drawn, put, section
from bench.report import RESULTS


def spread(value: float) -> dict[str, float]:
    return {"median": value, "least": value / 2, "most": value * 2}


RESULT: dict[str, Any] = {
    "date": "2026-01-31",
    "commit": "abc1234",
    "command": "python bench/cpu.py",
    "machine": {"processor": "a processor", "processors": 2},
    "model": "a random one",
    "threads": 2,
    "works": [
        {
            "name": name,
            "speeds": {engine: spread(value) for engine, value in speeds.items()},
            "rounds": {engine: [value / 2, value, value * 2] for engine, value in speeds.items()},
            "waited": {engine: [0.02, 0.04, 0.11] for engine in speeds},
            "ahead": {"ossia fast": {"llama.cpp": spread(3.25)}},
        }
        for name, speeds in (
            ("prompt of 512", {"ossia fast": 300.0, "llama.cpp": 100.0}),
            ("answer of 32 at depth 4,096", {"ossia fast": 30.0, "llama.cpp": 20.0}),
        )
    ],
    "bounds": [
        {
            "generate": generate,
            "batch": 1,
            "depth": 0,
            "precision": "fast",
            "decode_bytes_per_step": 3.71e9,
            "read_bandwidth_bytes_per_second": 31e9,
            "decode_bound_fraction": share,
            "decode_tokens_per_second": 8.0 * share,
        }
        for generate, share in ((1, 0.1), (32, 0.6), (32, 0.7), (32, 0.9))
    ],
}


def test_figures_stand_in_the_part():
    made = section({"cpu.png": RESULT})
    assert made.startswith(BEGIN)
    assert made.rstrip().endswith(END)
    words = " ".join(made.split())
    assert "waited for a processor for 4% of the time in the median and 11% at most. The model" in words
    alone = " ".join(section({"cpu.png": RESULT | {"threads": 1}}).split())
    assert "11% at most and are by the time that it had one. The model" in alone
    assert "| prompt of 512 | 300.0 (150.0-600.0) | 100.0 (50.0-200.0) | fast 3.25 (1.62-6.50) of llama.cpp |" in made
    assert "| answer of 32 at depth 4,096 | 30.0 (15.0-60.0) | 20.0 (10.0-40.0) |" in made
    # Prompts alone have no decoding that counts.
    assert "| fast, 1 at once, depth 0 | 3,710 MB | 31.0 GB/s | 70% (60%-90%) | - | - |" in made


ONCE = RESULT["works"][0] | {
    "speeds": dict.fromkeys(("ossia fast", "llama.cpp"), dict.fromkeys(("median", "least", "most"), 7.0)),
    "rounds": {"ossia fast": [7.0], "llama.cpp": [7.0]},
}


def test_one_round_has_no_spread():
    made = section({"cpu.png": RESULT | {"works": [ONCE]}})
    assert "figures are of one round." in " ".join(made.split())
    assert "says nothing of how it would spread" in " ".join(made.split())
    assert "| prompt of 512 | 7.0 | 7.0 |" in made


def test_the_rounds_are_those_of_each_work_whatever_a_result_of_old_says():
    twice = RESULT["works"][1] | {"rounds": {"ossia fast": [1.0, 2.0]}}
    for works, said in (
        (RESULT["works"], "figures are medians of 3 rounds with the least and most. By how much"),
        ([RESULT["works"][0], twice], "figures are medians of 2 to 3 rounds with the least and most. By how much"),
        (
            [RESULT["works"][1], ONCE],
            "medians of 1 to 3 rounds with the least and most, and of one round where these are not given. By how much",
        ),
    ):
        made = " ".join(section({"cpu.png": RESULT | {"works": works, "rounds": 9}}).split())
        assert said in made
        assert "is the median of the ratios within a round, with the least and most." in made


def test_what_is_known_of_instructions_and_mapped_weights_is_said():
    assert "instructions" not in section({"cpu.png": RESULT})
    bounds = [
        each | {"isa": "avx512bf16", "weights_bandwidth_bytes_per_second": 20e9, "decode_weights_fraction": share}
        for each, share in zip(RESULT["bounds"], (0.1, 0.9, 0.95, 1.0), strict=True)
    ]
    made = section({"cpu.png": RESULT | {"bounds": bounds}})
    assert "(a processor), instructions of ours: avx512bf16, threads of each: 2." in " ".join(made.split())
    assert "| bandwidth | share of the bound | bandwidth where the weights lie | share of that bound |" in made
    assert "| 31.0 GB/s | 70% (60%-90%) | 20.0 GB/s | 95% (90%-100%) |" in made
    bounds[1]["weights_bandwidth_bytes_per_second"] = 18e9
    assert "| 20.0 (18.0-20.0) GB/s |" in section({"cpu.png": RESULT | {"bounds": bounds}})


def test_one_measurement_of_a_bound_has_no_spread():
    made = section({"cpu.png": RESULT | {"bounds": RESULT["bounds"][-1:]}})
    assert "| 3,710 MB | 31.0 GB/s | 90% | - | - |" in made


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*-cpu.json")), ids=lambda file: file.stem)
def test_every_result_that_is_kept_can_be_shown(file: Path):
    made = section({"cpu.png": json.loads(file.read_text("utf-8"))})
    assert made.startswith(BEGIN)
    assert "figures are " in " ".join(made.split())


def test_prompts_alone_are_held_against_no_bandwidth(tmp_path: Path):
    alone = RESULT | {"works": RESULT["works"][:1], "bounds": RESULT["bounds"][:1]}
    made = section({"cpu.png": alone})
    assert "of the bound" not in made
    assert "![Tokens a second by engine](cpu.png)" in made
    drawn(alone, tmp_path / "cpu.png")
    drawn(RESULT, tmp_path / "both.png")
    heights = [len(pyplot.imread(tmp_path / name)) for name in ("cpu.png", "both.png")]
    assert heights[0] * 2 == heights[1]


def test_where_ours_is_behind_is_said():
    assert "Where ours is behind: nowhere in this table." in section({"cpu.png": RESULT})
    slower = RESULT["works"][1] | {"ahead": {"ossia fast": {"llama.cpp": spread(0.75)}}}
    made = section({"cpu.png": RESULT | {"works": [RESULT["works"][0], slower]}})
    assert "Where ours is behind: ossia fast reaches 0.75 of llama.cpp at: answer of 32 at depth 4,096." in made


def test_it_takes_the_place_of_the_one_before_and_leaves_the_rest(tmp_path: Path):
    page = tmp_path / "performance.md"
    page.write_text("# Performance\n\n<!-- serving: begin -->\n\nkept\n\n<!-- serving: end -->\n")
    put(page, section({"cpu.png": RESULT}))
    put(page, section({"cpu.png": RESULT | {"commit": "def5678"}}))
    text = page.read_text()
    assert "kept" in text
    assert "def5678" in text
    assert "abc1234" not in text
    assert text.count(BEGIN) == 1


def test_several_results_stand_below_each_other():
    made = section({"cpu.png": RESULT, "cpu1.png": RESULT | {"commit": "def5678"}})
    assert made.count("## Beside") == made.count(BEGIN) == made.count(END) == 1
    assert made.index("abc1234") < made.index("(cpu.png)") < made.index("def5678") < made.index("(cpu1.png)")


@pytest.mark.parametrize("works", [1, 2])
def test_a_picture_is_drawn(tmp_path: Path, works: int):
    drawn(RESULT | {"works": RESULT["works"][:works]}, tmp_path / "cpu.png")
    assert (tmp_path / "cpu.png").read_bytes().startswith(b"\x89PNG")

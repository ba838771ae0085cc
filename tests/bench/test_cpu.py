"""What bench/cpu.py keeps of its rounds."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench import cpu, report
from bench.engines.programs import Ours
from bench.engines.works import Turn, Work

REPORT = {
    "isa": "avx512bf16",
    "prompt": 32,
    "generate": 8,
    "batch": 1,
    "depth": 0,
    "precision": "fast",
    "decode_tokens_per_second": 9.0,
    "decode_bytes_per_step": 2e9,
    "peak_rss_bytes": 10,
    "read_bandwidth_bytes_per_second": 30e9,
    "decode_bound_fraction": 0.6,
    "weights_bandwidth_bytes_per_second": 20e9,
    "decode_weights_fraction": 0.9,
}


def test_a_work_has_the_rounds_that_were_made_of_it():
    turns = {"ossia fast": Turn(8.0, 0.0), "llama.cpp": Turn(4.0, 0.0)}
    rounds = {Work(512, 1, prefill=True): [turns, turns], Work(32, 8): [turns], Work(32, 8, batch=4): []}
    found = cpu.summary(rounds, [Ours(Path("weights"), "fast", 2)])
    assert {work["name"]: len(work["rounds"]["ossia fast"]) for work in found["works"]} == {
        "prompt of 512": 2,
        "answer of 8": 1,
    }
    assert "rounds" not in found, "a run that is interrupted has no one number of them"


def test_what_ours_says_of_its_instructions_and_of_both_bandwidths_is_kept():
    ours = Ours(Path("weights"), "fast", 2, [REPORT | {"repeats": [], "peak_anonymous_bytes": None}])
    assert cpu.bounds([ours]) == [REPORT]


def result_of(command: str, *works: Work, rounds: int = 3) -> dict[str, Any]:
    rows = [{"name": work.name, "rounds": {"ossia fast": [1.0] * rounds}} for work in works]
    return {"command": f"python bench/cpu.py{command}", "works": rows}


ANSWER = Work(32, 8)


@pytest.mark.parametrize(
    ("given", "works", "rounds", "shown"),
    [
        ("", [Work(512, 1, prefill=True), *(Work(32, 32, batch=batch) for batch in (1, 4, 16))], 3, ""),
        (
            " --prompt 512 2048 --depth 0 4096 --together 2 16 --generate 8 --rounds 1 --save",
            [Work(512, 1, prefill=True), ANSWER, Work(32, 8, batch=2)],
            1,
            " --prompt 512 --depth 0 --together 2 --generate 8 --rounds 1 --save",
        ),
        (
            " --prompt --depth 4096 0 --generate 8 --ik PATH",
            [ANSWER],
            1,
            " --prompt --depth 0 --generate 8 --ik PATH --together --rounds 1",
        ),
        (
            " --depth --together 4 --prompt 2048 --rounds 5",
            [Work(2048, 1, prefill=True)],
            2,
            " --depth --together --prompt 2048 --rounds 2",
        ),
    ],
)
def test_the_command_on_the_page_asks_for_the_rows_of_the_result(
    given: str, works: list[Work], rounds: int, shown: str
):
    assert cpu.command_of(result_of(given, *works, rounds=rounds)) == f"python bench/cpu.py{shown}"


@pytest.mark.parametrize("file", sorted(report.RESULTS.glob("*-cpu.json")), ids=lambda file: file.stem)
def test_the_command_of_every_result_that_is_kept_makes_its_rows(file: Path):
    result = json.loads(file.read_text("utf-8"))
    words = cpu.command_of(result).split()
    assert words[:2] == ["python", "bench/cpu.py"]
    options = cpu.command_line().parse_args(words[2:])
    assert [work.name for work in cpu.works(options)] == [work["name"] for work in result["works"]]


def test_the_page_asks_for_what_an_interrupted_run_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cpu, "PAGE", tmp_path / "performance.md")
    cpu.show([report.RESULTS / "2026-11-27-3f6cfdb-cpu.json"])
    words = " ".join((tmp_path / "performance.md").read_text("utf-8").split())
    assert "--prompt 512 2048 --depth 0 --together 2 4 8 --generate 32 --rounds 1 --repeats 2 --save`, 2026" in words
    assert "4,096" not in words

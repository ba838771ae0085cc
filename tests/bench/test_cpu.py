"""What bench/cpu.py keeps of its rounds."""

from pathlib import Path

from bench import cpu
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

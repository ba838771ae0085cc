"""What programs are asked, and what is read from what they print."""

import json
from pathlib import Path

import pytest

from bench.engines import programs
from bench.engines.programs import LimitError, Llama, Ours, last_number
from bench.engines.works import Work


def scripted(file: Path, prints: str, status: int = 0) -> Path:
    """A program that prints the words it was given to `asked`, and something on stdout."""
    file.write_text(f'#!/bin/sh\necho "$@" > {file.parent / "asked"}\ncat <<END\n{prints}\nEND\nexit {status}\n')
    file.chmod(0o755)
    return file


def llama(folder: Path) -> Llama:
    return Llama("llama.cpp", folder, folder / "model.gguf", 2, ("-fa", "1"))


def test_prompts_answers_and_depth_are_asked_for(tmp_path: Path):
    scripted(tmp_path / "llama-bench", json.dumps([{"avg_ts": 3.5, "n_gen": 8}]))
    for work, words in (
        (Work(512, 1, prefill=True), "-p 512 -n 0"),
        (Work(32, 8), "-p 0 -n 8"),
        (Work(32, 8, depth=4096), "-p 0 -n 8 -d 4096"),
    ):
        assert llama(tmp_path).speed(work) == 3.5
        asked = (tmp_path / "asked").read_text().split(" ", 1)[1].strip()
        assert asked == f"{tmp_path}/model.gguf -t 2 -fa 1 {words} -r 1 -o json"


def test_many_together_go_through_the_other_program(tmp_path: Path):
    lines = ["load: a line of text", json.dumps({"pl": 4, "speed_tg": 1.0}), json.dumps({"pl": 4, "speed_tg": 9.5})]
    scripted(tmp_path / "llama-batched-bench", "\n".join(lines))
    assert llama(tmp_path).speed(Work(32, 16, batch=4)) == 9.5
    assert "-npp 32 -ntg 16 -npl 4 -c 384" in (tmp_path / "asked").read_text()
    assert llama(tmp_path).speed(Work(32, 16, batch=4, depth=1)) is None


def test_a_program_that_fails_or_says_nothing_is_named(tmp_path: Path):
    program = scripted(tmp_path / "llama-bench", "", 3)
    with pytest.raises(LimitError, match=f"{program} ended with 3"):
        llama(tmp_path).speed(Work(32, 8))
    with pytest.raises(LimitError, match="no avg_ts"):
        last_number("nothing\n", "avg_ts")


def test_ours_is_what_ossia_bench_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    said = {"prefill_tokens_per_second": 2.0, "decode_tokens_per_second": 7.0}
    monkeypatch.setattr(programs.sys, "executable", str(scripted(tmp_path / "python", json.dumps(said))))
    ours = Ours(tmp_path / "weights", "fast", 2)
    assert (ours.speed(Work(512, 1, prefill=True)), ours.speed(Work(32, 8, batch=4))) == (2.0, 7.0)
    asked = f"-m ossia bench {tmp_path}/weights --prompt 32 --generate 8 --batch 4 --depth 0 --precision fast"
    assert (tmp_path / "asked").read_text().strip() == f"{asked} --threads 2 --repeats 1 --json"
    assert ours.reports == [said, said]

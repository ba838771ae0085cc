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
    return Llama("llama.cpp", folder, folder / "model.gguf", 2, ("-rtr",))


TABLE = """load: a line of text
|    PP |     TG |    B |   N_KV | S_PP t/s |   T_TG s | S_TG t/s |
|-------|--------|------|--------|----------|----------|----------|
|    32 |     16 |    4 |    192 |   129.13 |    9.188 |     6.97 |
| said in between
|  4128 |     16 |    4 |    192 |   237.51 |    5.405 |    11.84 |
| said at the end"""


def test_the_last_row_of_the_table_counts(tmp_path: Path):
    scripted(tmp_path / "llama-batched-bench", TABLE)
    for work, speed, words in (
        (Work(512, 1, prefill=True), 237.51, "-npp 512,512 -ntg 1 -npl 1 -c 768"),
        (Work(32, 8), 11.84, "-npp 32,32 -ntg 8 -npl 1 -c 256"),
        (Work(32, 8, batch=4, depth=4096), 11.84, "-npp 32,4128 -ntg 8 -npl 4 -c 17408"),
    ):
        assert llama(tmp_path).speed(work) == speed
        asked = (tmp_path / "asked").read_text().strip()
        assert asked == f"-m {tmp_path}/model.gguf -t 2 {words} -rtr"


def test_a_table_on_stderr_is_read_too(tmp_path: Path):
    scripted(tmp_path / "llama-batched-bench", TABLE)
    file = tmp_path / "llama-batched-bench"
    file.write_text(file.read_text().replace("cat <<", "cat >&2 <<"))
    assert llama(tmp_path).speed(Work(32, 8)) == 11.84


def test_a_program_that_fails_or_says_nothing_is_named(tmp_path: Path):
    program = scripted(tmp_path / "llama-batched-bench", "", 3)
    with pytest.raises(LimitError, match=f"{program} ended with 3"):
        llama(tmp_path).speed(Work(32, 8))
    for text in ("nothing\n", TABLE.partition("|    32")[0]):
        with pytest.raises(LimitError, match="no S_TG t/s"):
            last_number(text, "S_TG t/s")


def test_ours_is_what_ossia_bench_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    said = {"prefill_tokens_per_second": 2.0, "decode_tokens_per_second": 7.0}
    monkeypatch.setattr(programs.sys, "executable", str(scripted(tmp_path / "python", json.dumps(said))))
    ours = Ours(tmp_path / "weights", "fast", 2)
    assert (ours.speed(Work(512, 1, prefill=True)), ours.speed(Work(32, 8, batch=4))) == (2.0, 7.0)
    asked = f"-m ossia bench {tmp_path}/weights --prompt 32 --generate 8 --batch 4 --depth 0 --precision fast"
    assert (tmp_path / "asked").read_text().strip() == f"{asked} --threads 2 --repeats 1 --json"
    assert ours.reports == [said, said]

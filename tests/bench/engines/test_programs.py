"""What programs are asked, and what is read from what they print."""

import json
from pathlib import Path

import pytest

from bench.engines import programs
from bench.engines.programs import LimitError, Llama, Ours
from bench.engines.works import Work


def scripted(file: Path, prints: str, status: int = 0) -> Path:
    """A program that prints the words it was given to `asked`, and something on stdout."""
    file.write_text(f'#!/bin/sh\necho "$@" > {file.parent / "asked"}\ncat <<END\n{prints}\nEND\nexit {status}\n')
    file.chmod(0o755)
    return file


def llama(folder: Path) -> Llama:
    (folder / "model.gguf").write_bytes(b"weights")
    return Llama("llama.cpp", folder, folder / "model.gguf", 2, ("-rtr",))


TABLE = """load: a line of text
|    PP |     TG |    B |   N_KV | S_PP t/s |   T_TG s | S_TG t/s |
|-------|--------|------|--------|----------|----------|----------|
|    32 |     16 |    4 |    192 |   129.13 |    9.188 |     6.97 |
| said in between
|  4128 |     16 |    4 |    192 |   237.51 |    5.405 |    11.84 |
| said at the end"""


def speeds(engine: Llama | Ours, work: Work, repeats: int) -> list[float]:
    return [turn.speed for turn in engine.turns(work, repeats)]


def test_every_row_but_the_first_counts(tmp_path: Path):
    scripted(tmp_path / "llama-batched-bench", TABLE)
    for work, found, words in (
        (Work(512, 1, prefill=True), 237.51, "-npp 512,512 -ntg 1 -npl 1 -c 768"),
        (Work(32, 8), 11.84, "-npp 32,32 -ntg 8 -npl 1 -c 256"),
        (Work(32, 8, batch=4, depth=4096), 11.84, "-npp 32,4128 -ntg 8 -npl 4 -c 17408"),
    ):
        assert speeds(llama(tmp_path), work, 1) == [found]
        asked = (tmp_path / "asked").read_text().strip()
        assert asked == f"-m {tmp_path}/model.gguf -t 2 {words} -rtr"


def test_files_are_read_through_before_a_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scripted(tmp_path / "llama-batched-bench", TABLE)
    read: list[Path] = []
    monkeypatch.setattr(programs, "read_through", read.extend)
    speeds(llama(tmp_path), Work(32, 8), 1)
    assert read == [tmp_path / "model.gguf"]
    monkeypatch.undo()
    programs.read_through(read)
    with pytest.raises(FileNotFoundError):
        programs.read_through([tmp_path / "none"])


def test_a_table_on_stderr_is_read_too(tmp_path: Path):
    scripted(tmp_path / "llama-batched-bench", TABLE)
    file = tmp_path / "llama-batched-bench"
    file.write_text(file.read_text().replace("cat <<", "cat >&2 <<"))
    assert speeds(llama(tmp_path), Work(32, 8), 1) == [11.84]


def test_a_program_that_fails_or_measures_too_little_is_named(tmp_path: Path):
    program = scripted(tmp_path / "llama-batched-bench", "out of memory", 3)
    with pytest.raises(LimitError, match=rf"{program} ended with 3: out of memory"):
        llama(tmp_path).turns(Work(32, 8), 1)
    # A context that is too small: the row is left out.
    scripted(tmp_path / "llama-batched-bench", TABLE)
    with pytest.raises(LimitError, match="measured 2 times instead of 4"):
        llama(tmp_path).turns(Work(32, 8), 3)


def test_ours_is_what_its_lines_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    said = [{"prefill_tokens_per_second": 2.0 * n, "decode_tokens_per_second": 7.0 * n} for n in range(4)]
    lines = "\n".join(["a warning", *map(json.dumps, said)])
    monkeypatch.setattr(programs.sys, "executable", str(scripted(tmp_path / "python", lines)))
    ours = Ours(tmp_path / "weights", "fast", 2)
    assert speeds(ours, Work(512, 1, prefill=True), 2) == [2.0, 4.0]
    assert speeds(ours, Work(32, 8, batch=4), 2) == [7.0, 14.0]
    asked = (tmp_path / "asked").read_text().strip()
    numbers = '{"prompt": 32, "generate": 8, "batch": 4, "depth": 0}'
    assert asked == f"-m engines.timed {tmp_path}/weights fast 2 2 {numbers}"
    assert ours.reports == [said[3], said[3]]

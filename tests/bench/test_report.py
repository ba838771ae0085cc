"""What the benchmarks write beside their figures."""

import json
import socket
from pathlib import Path

from bench import report


def test_a_result_names_its_surroundings_but_no_machine(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(
        report.sys, "argv", ["/somewhere/bench/decode.py", "nano", "--threads", "1", "--ik", str(tmp_path)]
    )
    around = report.surroundings()
    assert around["command"] == "python bench/decode.py nano --threads 1 --ik PATH"
    assert around["machine"]["processors"] >= 1
    file = report.save("decode", around | {"runs": [1]})
    assert file.name == f"{around['date']}-{around['commit'].rstrip('+')}-decode.json"
    assert json.loads(file.read_text())["runs"] == [1]
    assert socket.gethostname() not in file.read_text()


def test_words_name_date_commit_machine_and_command():
    around = {"date": "2026-01-31", "commit": "abc1234", "command": "python x", "machine": {"processors": 2}}
    assert report.in_words(around) == "2026-01-31, commit abc1234\nprocessors: 2\n$ python x"

import json
from pathlib import Path

import pytest

from ossia.checkpoint import open_checkpoint
from ossia.cli import main
from tests.checkpoint.models import SMALL


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "config.json").write_text(json.dumps(SMALL.to_dict()))
    return str(tmp_path / "config.json")


def test_a_model_is_made_of_a_config(capsys: pytest.CaptureFixture[str], tmp_path: Path, config: str):
    words = ["make-random", config, "--out", str(tmp_path / "out"), "--seed", "7", "--dense", "q8", "--json"]
    assert main(words) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["seed"], about["dense"]) == (7, "q8")
    checkpoint = open_checkpoint(tmp_path / "out")
    assert checkpoint.config == SMALL
    assert about["bytes"] == checkpoint.bytes
    assert json.loads((tmp_path / "out" / "random.json").read_text())["seed"] == 7


def test_the_folder_of_a_config_will_do(capsys: pytest.CaptureFixture[str], tmp_path: Path, config: str):
    assert main(["make-random", str(Path(config).parent), "--out", str(tmp_path / "out")]) == 0
    assert "random parameters" in capsys.readouterr().out


def test_progress_stays_off_the_output(capsys: pytest.CaptureFixture[str], tmp_path: Path, config: str):
    main(["make-random", config, "--out", str(tmp_path / "out")])
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert captured.err == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["21b"], "no config '21b' here; 20b, 120b or the path"),
        (["20b", "--seed", "-1"], "not a whole number from 0 on"),
    ],
)
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], message: str):
    try:
        status = main(["make-random", *words, "--out", str(tmp_path / "out")])
    except SystemExit as exit_:
        status = exit_.code
    assert status in (1, 2)
    captured = capsys.readouterr()
    assert message in captured.err
    assert not (tmp_path / "out").exists()

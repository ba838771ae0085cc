import json
from pathlib import Path
from typing import Any

import pytest

from ossia.checkpoint.sources import records
from ossia.cli import main
from tests.checkpoint.sources.keeping import keep_hub, keep_ollama


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with four models: one of ours, Ollama's, an MLX one, and another architecture's."""
    for name in ("HF_HOME", "HF_HUB_CACHE", "LLAMA_CACHE", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / ".ollama/models"))
    cache = tmp_path / ".cache/huggingface/hub"
    records.note(keep_hub(cache, "openai/gpt-oss-20b"), "gpt-oss:20b")
    keep_ollama(tmp_path / ".ollama/models", "library/gpt-oss", "20b")
    change_config(keep_hub(cache, "mlx-community/gpt-oss-20b"), quantization={"bits": 4})
    change_config(keep_hub(cache, "some/llama"), model_type="llama")
    return tmp_path


def change_config(snapshot: Path, **changes: Any) -> None:
    file = snapshot / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def listed(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, dict[str, Any]]:
    assert main(["list", "--json", *options]) == 0
    return {model["name"]: model for model in json.loads(capsys.readouterr().out)["models"]}


def test_all_that_is_to_be_known(home: Path, capsys: pytest.CaptureFixture[str]):
    found = listed(capsys)
    assert list(found) == ["nano", "mlx-community/gpt-oss-20b", "openai/gpt-oss-20b", "ollama://gpt-oss:20b"]
    ours = found["openai/gpt-oss-20b"]
    assert ours["pulled_by_ossia"]
    assert ours["runs"]
    assert ours["layout"] == "hugging_face"
    assert ours["bytes"] == sum(file.stat().st_size for file in Path(ours["path"]).iterdir())
    theirs = found["ollama://gpt-oss:20b"]
    assert (theirs["layout"], theirs["program"], theirs["pulled_by_ossia"]) == ("ollama", "Ollama", False)
    mlx = found["mlx-community/gpt-oss-20b"]
    assert (mlx["layout"], mlx["runs"]) == ("mlx", False)
    assert "ossia pull openai/gpt-oss-20b" in mlx["reason"]
    assert found["nano"]["runs"]


def test_other_architectures_only_when_asked(home: Path, capsys: pytest.CaptureFixture[str]):
    assert "some/llama" not in listed(capsys)
    assert listed(capsys, "--all")["some/llama"]["reason"].startswith("is of the architecture 'llama'")


def test_the_table(home: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "LAYOUT", "SIZE", "BY", "RUNS"]
    rows = [line for line in lines[1:] if line and not line.startswith(" ")]
    assert [row.split()[0] for row in rows[:4]] == [
        "nano",
        "mlx-community/gpt-oss-20b",
        "openai/gpt-oss-20b",
        "ollama://gpt-oss:20b",
    ]
    assert "Ossia, for Hugging Face" in rows[2]
    assert rows[2].endswith("yes")
    assert rows[1].endswith("no")
    assert any(line.strip().startswith("is quantised for MLX") for line in lines)
    assert lines[-1] == "1 of other architectures; --all lists them too"


def test_a_hostile_name_does_nothing_to_the_terminal(home: Path, capsys: pytest.CaptureFixture[str]):
    keep_hub(home / ".cache/huggingface/hub", "evil/\x1b[2Jname")
    assert main(["list"]) == 0
    assert "\x1b" not in capsys.readouterr().out

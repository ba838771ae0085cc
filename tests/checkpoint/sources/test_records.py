from pathlib import Path

import pytest

from ossia.checkpoint.sources import records


def test_a_record_lasts_until_it_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = tmp_path / "model"
    assert not records.pulled(model)
    records.note(model, "gpt-oss:20b")
    assert records.pulled(model)
    assert not records.pulled(tmp_path / "other")
    monkeypatch.chdir(tmp_path)
    assert records.pulled(Path("model"))
    records.forget(model)
    assert not records.pulled(model)
    records.forget(model)


def test_a_state_that_cannot_be_kept_is_no_error(home: Path, monkeypatch: pytest.MonkeyPatch):
    (home / "file").write_text("no folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "file"))
    records.note(home, "x")
    assert not records.pulled(home)
    records.forget(home)

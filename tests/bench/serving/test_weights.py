"""The weights that servers and engines are compared with."""

from pathlib import Path

import pytest

from bench.serving import weights
from bench.serving.weights import BFLOAT16, NANO, Q8_0, described, made


def test_the_model_is_described():
    assert described(NANO).startswith("a random one of 6 layers, width 256, 8 experts and")


@pytest.mark.parametrize(
    ("forms", "kept"), [([BFLOAT16], ["bfloat16.gguf"]), ([Q8_0], ["q8_0.gguf"]), ([BFLOAT16, Q8_0], None)]
)
def test_only_the_forms_asked_for_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forms, kept):
    asked: list[str] = []

    def ossia(verb: str, *words: str) -> None:
        asked.append(verb)
        Path(words[-1]).touch()

    monkeypatch.setattr(weights, "_ossia", ossia)
    monkeypatch.setattr(weights, "to_q8", lambda source, target: target.touch())
    made(tmp_path, True, forms)
    files = made(tmp_path, True, forms)  # what is there is not made again
    assert asked == ["make-random", "convert"]
    assert sorted(file.name for file in tmp_path.glob("*.gguf")) == (kept or ["bfloat16.gguf", "q8_0.gguf"])
    assert set(files.rivals) == set(forms)
    assert all(file.exists() for file in files.rivals.values())

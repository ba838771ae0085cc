from pathlib import Path

import pytest

from ossia.checkpoint.sources.local import HUGGING_FACE, Local, same_model


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("openai/gpt-oss-20b", "openai/gpt-oss-20b"),
        ("openai/gpt-oss-safeguard-120b", "openai/gpt-oss-safeguard-120b"),
        ("ggml-org/gpt-oss-120b-GGUF", "openai/gpt-oss-120b"),
        ("lmstudio-community/gpt-oss-20b-GGUF", "openai/gpt-oss-20b"),
        ("someone/gpt-oss-20b", None),
        ("openai/gpt-oss-20b-tuned", None),
        ("openai/whisper", None),
        ("openai", None),
    ],
)
def test_who_publishes_the_same_weights(repository: str, expected: str | None):
    assert same_model(repository) == expected


def test_the_size_is_that_of_what_is_there(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"12345")
    files = (tmp_path / "a", tmp_path / "gone")
    assert Local(name="x", path=tmp_path, program=HUGGING_FACE, files=files).bytes == 5

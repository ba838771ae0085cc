from pathlib import Path

import pytest

from ossia.checkpoint.sources.inventory import candidates, models
from ossia.checkpoint.sources.local import HUGGING_FACE, LLAMA_CPP, LM_STUDIO, OLLAMA
from tests.checkpoint.sources.keeping import gguf_file, keep_hub, keep_ollama


@pytest.fixture
def everywhere(home: Path) -> dict[str, Path]:
    """gpt-oss-20b as each program would have it, and one model that is something else."""
    studio = home / ".lmstudio/models/lmstudio-community/gpt-oss-20b-GGUF"
    studio.mkdir(parents=True)
    (home / ".cache/llama.cpp").mkdir(parents=True)
    return {
        HUGGING_FACE: keep_hub(home / ".cache/huggingface/hub", "openai/gpt-oss-20b"),
        OLLAMA: keep_ollama(home / ".ollama/models", "library/gpt-oss", "20b"),
        LM_STUDIO: gguf_file(studio / "gpt-oss-20b-MXFP4.gguf"),
        LLAMA_CPP: gguf_file(home / ".cache/llama.cpp/ggml-org_gpt-oss-20b-GGUF_gpt-oss-20b-mxfp4.gguf"),
        "other": keep_hub(home / ".cache/huggingface/hub", "some/model", "b" * 40),
    }


def test_all_programs_models_are_there(everywhere: dict[str, Path]):
    assert {local.program for local in models()} == {HUGGING_FACE, OLLAMA, LM_STUDIO, LLAMA_CPP}
    assert {local.path for local in models()} == set(everywhere.values())


@pytest.mark.parametrize("name", ["gpt-oss:20b", "gpt-oss", "openai/gpt-oss-20b"])
def test_the_published_model_may_be_anybody_s(everywhere: dict[str, Path], name: str):
    found = [local.path for local in candidates(name)]
    assert found[0] == everywhere[HUGGING_FACE]
    assert set(found) == {everywhere[program] for program in (HUGGING_FACE, OLLAMA, LM_STUDIO, LLAMA_CPP)}


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("ollama://gpt-oss:20b", OLLAMA),
        ("lmstudio-community/gpt-oss-20b-GGUF", LM_STUDIO),
        ("lmstudio-community/gpt-oss-20b-GGUF:mxfp4", LM_STUDIO),
        ("ggml-org/gpt-oss-20b-GGUF:MXFP4", LLAMA_CPP),
        ("some/model", "other"),
        ("hf.co/some/model", "other"),
    ],
)
def test_other_names_mean_their_own(everywhere: dict[str, Path], name: str, program: str):
    assert [local.path for local in candidates(name)] == [everywhere[program]]


@pytest.mark.parametrize("name", ["gpt-oss:120b", "some/model@v2", "some/model:Q8_0", "ollama://gpt-oss:120b", "x", ""])
def test_what_is_not_here(everywhere: dict[str, Path], name: str):
    assert candidates(name) == []


def test_a_model_of_ollamas_by_the_name_that_it_has_there(everywhere: dict[str, Path], home: Path):
    file = keep_ollama(home / ".ollama/models", "me/mine", "latest", seed=3)
    for name in ("me/mine", "me/mine:latest", "ollama://me/mine"):
        assert [local.path for local in candidates(name)] == [file]
    assert candidates("me/mine:other") == []


def test_every_listed_name_finds_its_model(everywhere: dict[str, Path]):
    for local in models():
        assert candidates(local.name)[0].path == local.path


def test_a_cache_that_has_two_names_is_read_once(
    everywhere: dict[str, Path], monkeypatch: pytest.MonkeyPatch, home: Path
):
    before = len(models())
    (home / "link").symlink_to(home / ".cache/huggingface/hub")
    monkeypatch.setenv("LLAMA_CACHE", str(home / "link"))
    assert len(models()) == before - 1  # llama.cpp's own cache is that one then


def test_a_folder_that_may_not_be_looked_into_is_passed_over(
    everywhere: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    """Root may look everywhere, so the refusal is played."""
    is_dir = Path.is_dir

    def refused(path: Path) -> bool:
        if path.parent.name == "snapshots":
            raise PermissionError(13, "Permission denied", str(path))
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", refused)
    assert {local.program for local in models()} == {OLLAMA, LM_STUDIO, LLAMA_CPP}

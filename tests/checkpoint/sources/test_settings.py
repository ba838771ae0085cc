import json
from pathlib import Path

import pytest

from ossia.checkpoint.sources import settings
from ossia.errors import DownloadError


def test_where_things_are_by_default(home: Path):
    assert settings.hub_endpoint() == "https://huggingface.co"
    assert settings.registry_endpoint("registry.ollama.ai") == "https://registry.ollama.ai"
    assert settings.hub_caches() == [home / ".cache/huggingface/hub"]
    assert settings.ollama_folders() == [home / ".ollama/models", home / "ollama-service"]
    assert settings.lm_studio_folders() == [home / ".lmstudio/models", home / ".cache/lm-studio/models"]
    assert settings.llama_cpp_folders() == [home / ".cache/llama.cpp"]
    assert settings.records_folder() == home / ".local/state/ossia/pulled"
    settings.check_online()


def test_the_environment_decides(home: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in {
        "HF_ENDPOINT": "https://mirror.example/hf/",
        "HF_HUB_CACHE": "~/hub",
        "OLLAMA_MODELS": str(home / "ollama"),
        "OLLAMA_REGISTRY": "mirror.example",
        "LLAMA_CACHE": str(home / "llama"),
        "XDG_STATE_HOME": str(home / "state"),
    }.items():
        monkeypatch.setenv(name, value)
    assert settings.hub_endpoint() == "https://mirror.example/hf"
    assert settings.hub_cache() == home / "hub"
    assert settings.hub_caches() == [home / "hub", home / "llama"]
    assert settings.ollama_folders() == [home / "ollama"]
    assert settings.registry_endpoint("registry.ollama.ai") == "https://mirror.example"
    assert settings.registry_endpoint("other.example") == "https://other.example"
    assert settings.llama_cpp_folders() == [home / "llama"]
    assert settings.records_folder() == home / "state/ossia/pulled"


def test_the_token_is_where_the_hub_s_programs_have_it(home: Path, monkeypatch: pytest.MonkeyPatch):
    assert settings.hub_token() is None
    file = home / ".cache/huggingface/token"
    file.parent.mkdir(parents=True)
    file.write_text("hf_file\n")
    assert settings.hub_token() == "hf_file"
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert settings.hub_token() is None
    monkeypatch.setenv("HF_TOKEN", " hf_variable ")
    assert settings.hub_token() == "hf_variable"


def test_a_token_that_would_break_the_header_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret\r\nX-Evil: 1")
    with pytest.raises(DownloadError, match="letters that no token has") as caught:
        settings.hub_token()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
@pytest.mark.parametrize("value", ["1", "true", "ON", "yes"])
def test_offline(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(name, value)
    with pytest.raises(DownloadError, match=f"{name} is set"):
        settings.check_online()
    monkeypatch.setenv(name, "0")
    settings.check_online()


def test_lm_studio_may_keep_models_elsewhere(home: Path):
    (home / ".lmstudio-home-pointer").write_text(f"{home}/studio\n")
    (home / "studio").mkdir()
    (home / "studio" / "settings.json").write_text(json.dumps({"downloadsFolder": "/data/models"}))
    assert settings.lm_studio_folders()[:2] == [Path("/data/models"), home / "studio/models"]
    for text in ("[]", "{", '{"downloadsFolder": 5}', '{"downloadsFolder": "a\\u0000b"}', "[" * 100_000):
        (home / "studio" / "settings.json").write_text(text)
        assert settings.lm_studio_folders()[0] == home / "studio/models"

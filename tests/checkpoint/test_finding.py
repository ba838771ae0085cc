import hashlib
import json
from pathlib import Path

import pytest

from ossia.checkpoint import find, find_config, find_or_pull, published_configs, write
from ossia.config import ModelConfig
from ossia.errors import CheckpointError, DownloadError, ModelNotFoundError
from tests.checkpoint.models import TINY, tensors_for


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in a home where no other program has left anything."""
    for name in ("HF_HOME", "XDG_CACHE_HOME", "LLAMA_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub"


def keep(cache: Path, name: str, revision: str = "abc123") -> Path:
    """A model as huggingface_hub leaves one."""
    folder = cache / f"models--{name.replace('/', '--')}"
    write(folder / "snapshots" / revision, TINY, tensors_for(TINY))
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(revision)
    return folder / "snapshots" / revision


def test_a_path_is_itself(cache: Path, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    assert find(str(tmp_path)) == tmp_path
    assert find("mine") == Path("mine")


def test_nano_is_the_embedded_model_whatever_lies_here(cache: Path, tmp_path: Path):
    (tmp_path / "nano").mkdir()
    assert find("nano").is_absolute()
    assert ModelConfig.read(find("nano")).vocab_size > 0
    assert find("./nano") == Path("nano")


def test_a_user_without_a_home_has_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def homeless(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(ModelNotFoundError, match=r"ossia pull some/model"):
        find("some/model")


def test_a_hub_name_is_found_in_the_cache(cache: Path):
    snapshot = keep(cache, "openai/gpt-oss-20b")
    assert find("openai/gpt-oss-20b") == snapshot


def test_the_hub_agrees_where_its_cache_is(cache: Path):
    """The judge: huggingface_hub's own lookup of a cached file."""
    hub = pytest.importorskip("huggingface_hub")
    keep(cache, "some/model")
    assert hub.try_to_load_from_cache("some/model", "config.json", cache_dir=cache) == str(
        find("some/model") / "config.json"
    )


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HF_HUB_CACHE": "one"}, "one"),
        ({"HF_HOME": "two"}, "two/hub"),
        ({"XDG_CACHE_HOME": "three"}, "three/huggingface/hub"),
    ],
)
def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch: pytest.MonkeyPatch, variables, expected: str):
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    snapshot = keep(tmp_path / expected, "some/model")
    assert find("some/model") == snapshot


def test_an_interrupted_download_is_no_model(cache: Path):
    (cache / "models--some--model" / "refs").mkdir(parents=True)
    (cache / "models--some--other" / "snapshots").mkdir(parents=True)
    for name in ("some/model", "some/other"):
        with pytest.raises(ModelNotFoundError):
            find(name)


def test_names_that_no_file_can_have_are_unknown(cache: Path):
    for name in ("x" * 5000, "a\0b", ""):
        with pytest.raises(ModelNotFoundError, match="no model"):
            find(name)


def test_a_config_is_a_json_file_or_a_published_name(cache: Path, tmp_path: Path):
    (tmp_path / "mine.json").write_text("{}")
    assert find_config("mine.json") == Path("mine.json")
    assert find_config("20b") == published_configs()["20b"]
    (tmp_path / "20b").mkdir()
    assert find_config("20b") == published_configs()["20b"]
    assert find_config("./20b") is None
    (tmp_path / "gpt-oss-20b").mkdir()
    assert find_config("gpt-oss-20b") is None
    assert find_config("openai/gpt-oss-20b") == published_configs()["20b"]
    assert find_config("x" * 5000) is None


def test_an_unknown_name_is_told_what_is_near(cache: Path):
    with pytest.raises(ModelNotFoundError, match=r"did you mean nano\?"):
        find("nanno")
    with pytest.raises(ModelNotFoundError, match=r"did you mean .*gpt-oss-20b"):
        find("gpt-os-20b")
    with pytest.raises(ModelNotFoundError, match="A folder, a GGUF file, 'nano', or a model's name"):
        find("zzz")


@pytest.mark.parametrize("name", ["20b", "gpt-oss-120b", "openai/gpt-oss-20b"])
def test_published_names_say_what_can_be_had(cache: Path, name: str):
    size = "120b" if "120" in name else "20b"
    with pytest.raises(ModelNotFoundError, match=rf"`ossia pull {name}` .* `ossia make-random {size} --out DIR`"):
        find(name)
    assert ModelConfig.read(published_configs()[name]).num_hidden_layers == {"20b": 24, "120b": 36}[size]


@pytest.mark.parametrize("name", ["gpt-oss:20b", "gpt-oss", "GPT-OSS:latest", "hf.co/openai/gpt-oss-20b", "20b"])
def test_all_names_of_the_published_model_find_it(cache: Path, name: str):
    snapshot = keep(cache, "openai/gpt-oss-20b")
    assert find(name) == snapshot


def test_what_ollama_has_stands_in_for_the_published_model(cache: Path, tmp_path: Path):
    file = keep_ollama(tmp_path / "ollama", "gpt-oss", "20b")
    assert find("gpt-oss:20b") == find("openai/gpt-oss-20b") == find("ollama://gpt-oss:20b") == file
    snapshot = keep(cache, "openai/gpt-oss-20b")
    assert find("gpt-oss:20b") == snapshot
    assert find("ollama://gpt-oss:20b") == file


def keep_ollama(folder: Path, model: str, tag: str) -> Path:
    """A model as Ollama leaves one."""
    (folder / "blobs").mkdir(parents=True)
    write(folder / "new", TINY, tensors_for(TINY), "ollama")
    data = (folder / "new").read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    file = (folder / "new").rename(folder / "blobs" / digest.replace(":", "-"))
    layer = {"mediaType": "application/vnd.ollama.image.model", "size": len(data), "digest": digest}
    manifest = folder / "manifests" / "registry.ollama.ai" / "library" / model / tag
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": [layer]}))
    return file


def test_what_is_there_and_cannot_be_run_is_named_with_the_remedy(cache: Path):
    folder = keep(cache, "mlx-community/gpt-oss-20b-MXFP4-Q8")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization": {"bits": 8, "group_size": 32}}))
    with pytest.raises(CheckpointError, match=r"Hugging Face has it .* MLX, .* `ossia pull openai/gpt-oss-20b`"):
        find("mlx-community/gpt-oss-20b-MXFP4-Q8")


def test_a_part_of_a_model_is_no_model_and_can_be_completed(cache: Path):
    folder = keep(cache, "some/model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelNotFoundError, match=r"model\.safetensors is missing .* `ossia pull some/model` goes on"):
        find("some/model")


def test_a_slip_is_not_downloaded_and_offline_mode_says_so(cache: Path):
    with pytest.raises(ModelNotFoundError, match="did you mean nano"):
        find_or_pull("nanno")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set"):
        find_or_pull("gpt-oss:20b")
    assert find_or_pull("nano") == find("nano")

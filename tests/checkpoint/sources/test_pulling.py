import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ossia.checkpoint import find, find_or_pull, open_checkpoint, write
from ossia.checkpoint.sources import records
from ossia.checkpoint.sources.part import PIECE
from ossia.checkpoint.sources.pulling import Pulling, pull
from ossia.config import ModelConfig
from ossia.errors import CancelledError, CapacityError, DownloadError, ModelNotFoundError
from tests.checkpoint.models import SMALL, TINY, TOKENIZER, assert_same, tensors_for
from tests.checkpoint.sources.servers import COMMIT, Answer, Files, Hub, Registry

NAME = "openai/gpt-oss-20b"


def folder_files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small repository in the form of the published ones: three times the same model."""
    folder = tmp_path_factory.mktemp("published") / "model"
    generation = {"eos_token_id": [4]}
    write(folder, SMALL, tensors_for(SMALL), tokenizer=TOKENIZER, generation=generation, shard_bytes=200_000)
    write(folder / "original", SMALL, tensors_for(SMALL), "original")
    (folder / "metal").mkdir()
    (folder / "metal" / "model.bin").write_bytes(b"metal" * 1000)
    (folder / "README.md").write_text("# A model")
    return folder_files(folder)


@pytest.fixture
def stocked(hub: Hub, published: dict[str, bytes]) -> Hub:
    hub.repositories[NAME] = published
    return hub


def gguf(folder: Path, layout: str = "gguf", config: ModelConfig = TINY) -> bytes:
    write(folder / "made.gguf", config, tensors_for(config), layout)  # type: ignore[arg-type]
    data = (folder / "made.gguf").read_bytes()
    (folder / "made.gguf").unlink()
    return data


def test_a_pulled_model_is_the_published_one(stocked: Hub, home: Path):
    path = pull("gpt-oss:20b")
    assert path == home / f".cache/huggingface/hub/models--openai--gpt-oss-20b/snapshots/{COMMIT}"
    checkpoint = open_checkpoint(path)
    assert checkpoint.layout == "hugging_face"
    assert_same(checkpoint.tensors, tensors_for(SMALL))
    assert checkpoint.tokenizer == TOKENIZER
    assert find("gpt-oss") == find(NAME) == path
    assert records.pulled(path)


def test_only_one_layout_is_fetched(stocked: Hub, published: dict[str, bytes]):
    path = pull(NAME)
    names = {str(file.relative_to(path)) for file in path.rglob("*")}
    assert names == {name for name in published if "/" not in name and name != "README.md"}
    assert all(file.is_symlink() and not file.readlink().is_absolute() for file in path.iterdir())


def test_huggingface_hub_reads_what_we_wrote(stocked: Hub, home: Path):
    """The judge: the library that everybody else uses, offline, on our cache."""
    path = pull(NAME)
    code = (
        "from huggingface_hub import snapshot_download, scan_cache_dir, try_to_load_from_cache as load;"
        f"print(snapshot_download({NAME!r}, local_files_only=True)); print(load({NAME!r}, 'config.json'));"
        "info = scan_cache_dir(); print(len(info.warnings), [repo.repo_id for repo in info.repos]);"
        "print(sorted(next(iter(next(iter(info.repos)).revisions)).refs))"
    )
    assert judge(code, home, HF_HUB_OFFLINE="1") == [str(path), str(path / "config.json"), f"0 ['{NAME}']", "['main']"]


def test_we_read_what_huggingface_hub_wrote(stocked: Hub, home: Path, published: dict[str, bytes]):
    """The same the other way, which shows too that the test's server speaks as the hub does."""
    small = {name: data for name, data in published.items() if "/" not in name}
    stocked.repositories[NAME] = small
    code = f"from huggingface_hub import hf_hub_download as get; [print(get({NAME!r}, n)) for n in {sorted(small)!r}]"
    paths = judge(code, home, HF_ENDPOINT=stocked.url)
    asked = len(stocked.asked)
    assert find("gpt-oss:20b") == Path(paths[0]).parent
    assert_same(open_checkpoint(find(NAME)).tensors, tensors_for(SMALL))
    assert not records.pulled(find(NAME))
    assert pull(NAME) == find(NAME)
    assert [request.path for request in stocked.asked[asked:]] == [f"/api/models/{NAME}/revision/main?blobs=true"]


def judge(code: str, home: Path, **variables: str) -> list[str]:
    """What a fresh Python prints, in the test's home."""
    environment = os.environ | {"HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1"} | variables
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_progress_is_told_in_plain_data(stocked: Hub, published: dict[str, bytes]):
    told: list[Pulling] = []
    pull(NAME, told.append)
    statuses = list(dict.fromkeys(pulling.status for pulling in told))
    assert statuses[0] == "pulling manifest"
    assert statuses[-2:] == ["writing manifest", "success"]
    assert all(re.fullmatch(r"pulling \w{12}|verifying sha256 digest", status) for status in statuses[1:-2])
    files = [pulling for pulling in told if pulling.model_total is not None]
    # config.json comes first and alone, so that a model that cannot be run is not fetched.
    whole = [pulling for pulling in files if pulling.model_total != len(published["config.json"])]
    assert {pulling.model_total for pulling in whole} == {whole[0].model_total}
    assert whole[-1].model_completed == whole[-1].model_total
    pulled = [pulling.model_completed or 0 for pulling in whole]
    assert pulled == sorted(pulled)


def test_the_token_reaches_the_hub_and_not_the_cdn(
    stocked: Hub, cdn: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    stocked.token = "hf_secret"
    with pytest.raises(ModelNotFoundError, match=r"private.*HF_TOKEN"):
        pull(NAME)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull(NAME)
    assert cdn.asked
    assert not any("hf_secret" in value for request in cdn.asked for value in request.headers.values())
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(ModelNotFoundError) as caught:
        pull(f"{NAME}@v2")
    assert "hf_wrong" not in str(caught.value) + str(capsys.readouterr())


def test_a_second_pull_fetches_nothing(stocked: Hub, cdn: Files):
    path = pull(NAME)
    asked = len(cdn.asked)
    assert pull(NAME) == path
    assert len(cdn.asked) == asked
    assert len([request for request in stocked.asked if "/resolve/" in request.path and request.method == "GET"]) > 0


def test_a_new_commit_shares_what_is_the_same(stocked: Hub, cdn: Files, published: dict[str, bytes]):
    first = pull(NAME)
    asked = len(cdn.asked)
    stocked.repositories[NAME] = published | {"generation_config.json": b'{"eos_token_id": [4, 3]}'}
    stocked.change = lambda found: found | {"sha": "f" * 40}
    second = pull(NAME)
    assert second != first
    assert len(cdn.asked) == asked
    assert find(NAME) == second
    assert open_checkpoint(first).generation == {"eos_token_id": [4]}
    assert open_checkpoint(second).generation == {"eos_token_id": [4, 3]}


def test_other_architectures_are_refused_before_their_weights(hub: Hub, cdn: Files):
    config = {"model_type": "llama"}
    for change, words in (
        (config, "of the architecture 'llama'; only gpt-oss"),
        ({"model_type": "gpt_oss", "quantization": {"bits": 4}}, "quantised for MLX.*ossia pull openai/gpt-oss-20b"),
        ({"model_type": "gpt_oss", "quantization_config": {"quant_method": "bitsandbytes"}}, "'bitsandbytes'"),
        (["x"], "object is right"),
    ):
        hub.repositories["some/model"] = {"config.json": json.dumps(change).encode(), "model.safetensors": b"x" * 999}
        with pytest.raises(DownloadError, match=words):
            pull("some/model")
    assert cdn.asked == []


def test_a_config_of_any_size_is_not_fetched(stocked: Hub):
    def grown(found: dict[str, Any]) -> dict[str, Any]:
        for sibling in found["siblings"]:
            sibling["size"] = 1 << 40 if sibling["rfilename"] == "config.json" else sibling["size"]
        return found

    stocked.change = grown
    with pytest.raises(DownloadError, match=r"config\.json has 1099511627776 bytes"):
        pull(NAME)
    assert len(stocked.asked) == 1


def test_a_gguf_from_the_hub(hub: Hub, tmp_path: Path):
    data = gguf(tmp_path)
    hub.repositories["ggml-org/gpt-oss-20b-GGUF"] = {"gpt-oss-20b-mxfp4.gguf": data, "gpt-oss-20b-Q4_K_M.gguf": b"x"}
    path = pull("ggml-org/gpt-oss-20b-GGUF")
    assert path.name == "gpt-oss-20b-mxfp4.gguf"
    assert_same(open_checkpoint(path).tensors, tensors_for(TINY))
    assert find("gpt-oss:20b") == find("ggml-org/gpt-oss-20b-GGUF") == find("ggml-org/gpt-oss-20b-GGUF:mxfp4") == path


def test_a_gguf_of_another_architecture_is_refused_by_its_first_bytes(hub: Hub, cdn: Files, tmp_path: Path):
    llama = gguf(tmp_path).replace(b"gpt-oss", b"llama-3")
    hub.repositories["some/model-GGUF"] = {"model-Q8_0.gguf": llama}
    with pytest.raises(DownloadError, match="architecture 'llama-3'"):
        pull("some/model-GGUF")
    hub.repositories["some/model-GGUF"] = {"model-Q8_0.gguf": b"<html>" * 100}
    with pytest.raises(DownloadError, match="is no GGUF file; it starts with b'<html><h'"):
        pull("some/model-GGUF")
    assert {request.headers["Range"] for request in cdn.asked} == {f"bytes=0-{len(llama) - 1}", "bytes=0-599"}


def test_a_model_of_the_registry(registry: Registry, home: Path, tmp_path: Path):
    data = gguf(tmp_path, "ollama")
    registry.add("library/gpt-oss", "20b", data)
    path = pull("ollama://gpt-oss:20b")
    store = home / ".ollama/models"
    assert path.parent == store / "blobs"
    assert path.read_bytes() == data
    manifest = store / "manifests/registry.ollama.ai/library/gpt-oss/20b"
    assert manifest.read_bytes() == registry.manifests["library/gpt-oss/manifests/20b"]
    assert len(list((store / "blobs").iterdir())) == 3
    assert_same(open_checkpoint(path).tensors, tensors_for(TINY))
    assert find("gpt-oss:20b") == find("ollama://gpt-oss:20b") == path


def test_a_registry_that_wants_a_token(registry: Registry, tmp_path: Path):
    registry.wants_token = True
    registry.add("me/mine", "latest", gguf(tmp_path, "ollama"))
    assert pull("ollama://me/mine").is_file()


def test_a_model_of_another_family_in_the_registry(registry: Registry, tmp_path: Path):
    registry.add("library/mistral", "7b", gguf(tmp_path).replace(b"gpt-oss", b"llama-3"))
    with pytest.raises(DownloadError, match=r"mistral:7b is of the architecture 'llama-3'"):
        pull("mistral:7b")


def test_other_registries_may_be_forbidden():
    with pytest.raises(DownloadError, match=r"internal\.example may not be asked from here"):
        pull("ollama://internal.example/me/mine", anywhere=False)


def test_offline_nothing_is_asked(stocked: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set"):
        find_or_pull("gpt-oss:20b")
    assert stocked.asked == []


def test_find_or_pull_pulls_once(stocked: Hub):
    path = find_or_pull("gpt-oss:20b")
    asked = len(stocked.asked)
    assert find_or_pull("gpt-oss:20b") == path
    assert len(stocked.asked) == asked


@pytest.mark.parametrize("names", [["tokenizer.json"], ["config.json", "tokenizer.json"]])
def test_a_tokenizer_alone_is_no_model(stocked: Hub, home: Path, published: dict[str, bytes], names: list[str]):
    """What `AutoTokenizer.from_pretrained` leaves is completed."""
    code = f"from huggingface_hub import hf_hub_download as get; [get({NAME!r}, name) for name in {names!r}]"
    judge(code, home, HF_ENDPOINT=stocked.url)
    with pytest.raises(ModelNotFoundError, match=r"only a part of it is here.*`ossia pull gpt-oss:20b` goes on"):
        find("gpt-oss:20b")
    assert open_checkpoint(find_or_pull("gpt-oss:20b")).layout == "hugging_face"


def test_what_ollama_has_lost_is_fetched_again(registry: Registry, tmp_path: Path):
    registry.add("library/gpt-oss", "20b", gguf(tmp_path, "ollama"))
    path = pull("ollama://gpt-oss:20b")
    path.unlink()
    assert find_or_pull("ollama://gpt-oss:20b") == path
    assert path.is_file()


def test_a_wrong_content_never_gets_into_the_cache(stocked: Hub, cdn: Files, home: Path):
    cdn.faults.lie = lambda data: bytes(len(data))
    with pytest.raises(DownloadError, match="was announced"):
        pull(NAME)
    with pytest.raises(ModelNotFoundError):
        find(NAME)
    assert not list((home / ".cache").rglob("*.safetensors"))
    cdn.faults.lie = bytes
    assert find(NAME) if pull(NAME) else False


def test_a_disk_that_is_too_small_is_told_before(stocked: Hub, cdn: Files, monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage("/")._replace(free=(64 << 20) + 10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(CapacityError, match=r"hub/models--openai.* needs .* GiB, the disk has 0\.06 GiB free"):
        pull(NAME)
    assert cdn.asked == []


def test_a_cache_that_cannot_be_written_is_named(stocked: Hub, home: Path):
    (home / ".cache").write_text("no folder")
    with pytest.raises(DownloadError, match=r"\.cache.*cannot be written"):
        pull(NAME)


def test_a_pull_can_be_stopped_and_goes_on(stocked: Hub, cdn: Files):
    stopped = threading.Event()

    def progress(pulling: Pulling) -> None:
        if (pulling.model_completed or 0) > 100_000:
            stopped.set()

    with pytest.raises(CancelledError):
        pull(NAME, progress, stopped.is_set)
    assert pull(NAME) == find(NAME)


def test_a_server_that_cuts_and_is_busy_only_delays(stocked: Hub, cdn: Files, no_waiting: list[float]):
    cdn.faults.cuts = [1000, 0, 50_000]
    stocked.faults.busy = [Answer(503), Answer(429)]
    assert open_checkpoint(pull(NAME)).bytes > 0


PULL = "import sys; from ossia.checkpoint import pull; print(pull(sys.argv[1], lambda p: print(p.status, flush=True)))"


def test_two_at_once_fetch_each_file_once(stocked: Hub, cdn: Files, home: Path):
    """Two processes; the second waits for the first, says so, and finds everything there."""
    cdn.faults.chunk_delay = 0.3
    environment = os.environ | {"HOME": str(home)}
    command = [sys.executable, "-c", PULL, NAME]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0].splitlines()[-1] == said[1].splitlines()[-1] == str(find(NAME))
    assert any("waiting for another download" in text for text in said)
    asked = [request.path for request in cdn.asked]
    assert len(asked) == len(set(asked))


def test_killed_in_the_middle_and_again(hub: Hub, cdn: Files, home: Path, tmp_path: Path):
    """kill -9 while a large file is on its way: nothing is found, and the next pull fetches the rest."""
    big = dataclasses.replace(SMALL, vocab_size=60_000)
    write(tmp_path / "big", big, tensors_for(big))
    hub.repositories[NAME] = folder_files(tmp_path / "big")
    cdn.faults.chunk_delay = 0.05
    process = subprocess.Popen([sys.executable, "-c", PULL, NAME], stdout=subprocess.DEVNULL, env=os.environ)
    deadline = time.monotonic() + 30
    part = home / ".cache/huggingface/hub/models--openai--gpt-oss-20b/blobs"
    while time.monotonic() < deadline and not any(
        file.stat().st_blocks * 512 > 6 * PIECE for file in part.glob("*part")
    ):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(ModelNotFoundError):
        find(NAME)
    cdn.faults.chunk_delay = 0.0
    before = len(cdn.asked)
    assert_same(open_checkpoint(pull(NAME)).tensors, tensors_for(big))
    asked = [request.headers["Range"].removeprefix("bytes=").split("-") for request in cdn.asked[before:]]
    assert (
        0 < sum(int(last) + 1 - int(first) for first, last in asked) < len(hub.repositories[NAME]["model.safetensors"])
    )
    assert not list(part.glob("*part"))

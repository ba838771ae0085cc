import json
import re
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

from ossia.checkpoint.sources.hub import _file
from ossia.checkpoint.sources.names import RegistryName
from ossia.checkpoint.sources.registry import blob_of, describe, read_manifest
from ossia.checkpoint.sources.transport import Client
from ossia.errors import DownloadError, ModelNotFoundError
from tests.checkpoint.sources.servers import Registry

NAME = RegistryName("gpt-oss", "20b")
FIELDS = ["layers", "config", "mediaType", "size", "digest"]


def test_a_manifest_names_the_parts(registry: Registry):
    registry.add("library/gpt-oss", "20b", b"GGUF weights", model_family="gptoss")
    client = Client(registry.url)
    manifest = describe(client, NAME)
    assert [layer.size for layer in manifest.models] == [12]
    assert len(manifest.layers) == 3
    assert manifest.source == registry.manifests["library/gpt-oss/manifests/20b"]
    blob = blob_of(client, NAME, manifest.models[0])
    assert blob.url == f"{registry.url}/v2/library/gpt-oss/blobs/{blob.digest}"


def test_a_token_is_fetched_where_one_is_wanted(registry: Registry):
    registry.wants_token = True
    registry.add("library/gpt-oss", "20b", b"GGUF")
    assert describe(Client(registry.url), NAME).models
    assert [request.path.split("?")[0] for request in registry.asked] == [
        "/v2/library/gpt-oss/manifests/20b",
        "/token",
        "/v2/library/gpt-oss/manifests/20b",
    ]
    assert registry.asked[1].path.endswith("?service=registry&scope=repository%3Alibrary%2Fx%3Apull") or (
        "scope=repository:library/x:pull" in registry.asked[1].path
    )


@pytest.mark.parametrize("challenge", ['Bearer realm="{}/token"', 'Basic realm="{}/token"', "Bearer", ""])
def test_tokens_are_not_fetched_from_anywhere(registry: Registry, challenge: str):
    """From another host only over https; and only where it is a token that is wanted."""
    with Registry() as other:
        registry.challenge = challenge.format(other.url)
        registry.wants_token = True
        registry.add("library/gpt-oss", "20b", b"GGUF")
        with pytest.raises(ModelNotFoundError, match="or it is private"):
            describe(Client(registry.url), NAME)
        assert other.asked == []


def test_an_unknown_model(registry: Registry):
    with pytest.raises(ModelNotFoundError, match=r"no model gpt-oss:20b"):
        describe(Client(registry.url), NAME)


@pytest.mark.parametrize(
    "change",
    [
        {"layers": None},
        {"layers": []},
        {"layers": {}},
        {"layers": [None]},
        {"layers": [{"mediaType": "x", "size": 1, "digest": "sha256:../../etc"}]},
        {"layers": [{"mediaType": "x", "size": 1, "digest": "md5:" + "0" * 32}]},
        {"layers": [{"mediaType": "x", "size": -1, "digest": "sha256:" + "0" * 64}]},
        {"layers": [{"mediaType": "x", "size": 1 << 62, "digest": "sha256:" + "0" * 64}]},
        {"layers": [{"mediaType": 7, "size": 1, "digest": "sha256:" + "0" * 64}]},
        {"layers": [{"mediaType": "x", "size": 1, "digest": "sha256:" + "0" * 64}] * 1001},
        {"config": "x"},
    ],
)
def test_absurd_manifests_are_refused(registry: Registry, change: dict[str, Any]):
    manifest = registry.add("library/gpt-oss", "20b", b"GGUF")
    with pytest.raises(DownloadError):
        read_manifest(json.dumps(manifest | change).encode(), "here")


def test_other_kinds_of_models_are_refused(registry: Registry):
    manifest = registry.add("library/gpt-oss", "20b", b"GGUF")
    model, license_ = manifest["layers"]
    adapter = model | {"mediaType": "application/vnd.ollama.image.adapter"}
    for layers, words in (
        ([license_], "0 files of weights"),
        ([model, model], "2 files of weights"),
        ([model, adapter], "image.adapter"),
    ):
        registry.manifests["library/gpt-oss/manifests/20b"] = json.dumps(manifest | {"layers": layers}).encode()
        with pytest.raises(DownloadError, match=words):
            describe(Client(registry.url), NAME)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
)


@hypothesis.given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=5) | ANYTHING)
def test_any_json_is_a_manifest_or_refused(data: Any):
    try:
        manifest = read_manifest(json.dumps(data).encode(), "here")
    except DownloadError:
        return
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", layer.digest) for layer in manifest.layers)


@hypothesis.given(st.dictionaries(st.sampled_from(["rfilename", "size", "blobId", "lfs", "sha256"]), ANYTHING))
def test_any_json_is_a_file_of_the_hub_or_refused(data: Any):
    try:
        name, file = _file(data, "here")
    except DownloadError:
        return
    assert ".." not in name.split("/")
    assert file.size >= 0

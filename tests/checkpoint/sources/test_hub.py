from typing import Any

import pytest

from ossia.checkpoint.sources.hub import blob_of, describe
from ossia.checkpoint.sources.names import HubName
from ossia.checkpoint.sources.transport import Client
from ossia.errors import DownloadError, ModelNotFoundError
from tests.checkpoint.sources.servers import COMMIT, Answer, Hub


@pytest.fixture
def client(hub: Hub) -> Client:
    hub.repositories["some/model"] = {"config.json": b"{}", "sub/a b%c.safetensors": b"weights"}
    return Client(hub.url)


def test_a_repository_has_files_at_a_commit(client: Client):
    repository = describe(client, HubName("some/model"))
    assert repository.commit == COMMIT
    assert {name: file.size for name, file in repository.files.items()} == {
        "config.json": 2,
        "sub/a b%c.safetensors": 7,
    }
    assert repository.files["config.json"].digest == "git-sha1:9e26dfeeb6e641a33dae4961196235bdb965b21b"
    assert repository.files["sub/a b%c.safetensors"].digest.startswith("sha256:")
    url = blob_of(client, repository, "sub/a b%c.safetensors").url
    assert url == f"{client.base}/some/model/resolve/{COMMIT}/sub/a%20b%25c.safetensors"


def test_a_revision_is_one_part_of_the_path(client: Client, hub: Hub):
    with pytest.raises(ModelNotFoundError, match=r"no revision 'refs/pr/3'"):
        describe(client, HubName("some/model", "refs/pr/3"))
    assert "/revision/refs/pr/3?" in hub.asked[0].path  # the server has undone %2F


def test_unknown_private_and_gated_are_told_apart_as_far_as_the_hub_does(client: Client, hub: Hub):
    with pytest.raises(ModelNotFoundError, match=r"no repository some/other, or it is private.*HF_TOKEN"):
        describe(client, HubName("some/other"))
    hub.refusal = Answer(403, b"", {"X-Error-Code": "GatedRepo"})
    with pytest.raises(DownloadError, match=rf"some/model is gated: its terms are accepted at {hub.url}/some/model"):
        describe(client, HubName("some/model"))
    hub.refusal = Answer(418)
    with pytest.raises(DownloadError, match="418"):
        describe(client, HubName("some/model"))


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/passwd", "a/../../b", "", ".", "a//b", "a/", "a\\b", "C:x", "a\0b", "a\nb", "x" * 300, 5, None],
)
def test_names_that_lead_elsewhere_are_refused(client: Client, hub: Hub, name: Any):
    hub.change = lambda found: found | {"siblings": [*found["siblings"], found["siblings"][0] | {"rfilename": name}]}
    with pytest.raises(DownloadError, match="no name of a file inside a folder"):
        describe(client, HubName("some/model"))


def changed(**fields: Any) -> Any:
    return lambda found: found | fields


def sibling(**fields: Any) -> Any:
    return lambda found: found | {"siblings": [found["siblings"][1] | fields]}


@pytest.mark.parametrize(
    "change",
    [
        changed(sha="main"),
        changed(sha="../" * 14),
        changed(sha=None),
        changed(siblings=None),
        changed(siblings={}),
        changed(siblings=[None]),
        changed(siblings=["x"] * 3),
        sibling(lfs={"sha256": "0" * 64, "size": -1}),
        sibling(lfs={"sha256": "0" * 64, "size": True}),
        sibling(lfs={"sha256": "0" * 64, "size": "7"}),
        sibling(lfs={"sha256": "0" * 64, "size": 1 << 60}),
        sibling(lfs={"sha256": "../../x", "size": 7}),
        sibling(lfs={"size": 7}),
        sibling(lfs=None, blobId="0"),
        sibling(lfs=None, size=None),
        lambda found: found | {"siblings": found["siblings"] * 2},
        lambda found: b"[]",
        lambda found: b"<html>",
        lambda found: b'{"siblings": ' + b"[" * 50_000,
    ],
)
def test_absurd_descriptions_are_refused(client: Client, hub: Hub, change: Any):
    hub.change = change
    with pytest.raises(DownloadError):
        describe(client, HubName("some/model"))

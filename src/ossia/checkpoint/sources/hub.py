"""What the Hugging Face hub has: the files of a repository, with sizes and checksums, at a commit.

Large files are known by the sha256 of their content, small ones by the hash under which git keeps them; both name the
file in the hub's cache on disk. What the server says is checked before it is believed: names that would lead out of a
folder, sizes and checksums that are none.

Source: huggingface_hub, hf_api.py `model_info` and `RepoSibling`, file_download.py `hf_hub_url`; Hugging Face, "Hub API
Endpoints".
"""

import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ossia.checkpoint.sources.download import Blob
from ossia.checkpoint.sources.names import HubName
from ossia.checkpoint.sources.transport import Client, RefusedError
from ossia.errors import DownloadError, ModelNotFoundError

__all__ = ["HubFile", "Repository", "blob_of", "describe", "file_url"]

MOST_FILES = 100_000
LARGEST_FILE = 1 << 42
"""Four tebibytes: more than any file of weights, less than what sums of sizes overflow disks' counters with."""

_NAME = re.compile(r"[^\\/:*?\"<>|\x00-\x1f\x7f]{1,255}")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository: bytes, and its checksum as `sha256:…` or `git-sha1:…`."""

    size: int
    digest: str

    @property
    def blob(self) -> str:
        """Its name in the cache."""
        return self.digest.partition(":")[2]


@dataclass(frozen=True)
class Repository:
    """A repository at a commit: files by their names."""

    name: str
    commit: str
    files: Mapping[str, HubFile]


def describe(client: Client, wanted: HubName) -> Repository:
    """The repository at the wanted revision.

    Raises ModelNotFoundError when the hub has none such, DownloadError when it may not be read, when the answer makes
    no sense, or when it cannot be reached.
    """
    revision = urllib.parse.quote(wanted.revision, safe="")
    url = f"{client.base}/api/models/{wanted.repository}/revision/{revision}?blobs=true"
    try:
        data = client.object(url)
    except RefusedError as error:
        raise _refused(error, wanted, client) from None
    where = f"{wanted.repository} on {client.base}"
    commit = data.get("sha")
    if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{40,64}", commit):
        raise DownloadError(f"{where}: its commit is {commit!r:.80}; 40 hexadecimal digits are right")
    siblings = data.get("siblings")
    if not isinstance(siblings, list) or len(siblings) > MOST_FILES:
        raise DownloadError(f"{where}: lists no files, or more than {MOST_FILES}")
    files: dict[str, HubFile] = {}
    for sibling in siblings:
        name, file = _file(sibling, where)
        if name in files:
            raise DownloadError(f"{where}: lists {name!r:.120} twice")
        files[name] = file
    return Repository(wanted.repository, commit, files)


def file_url(client: Client, repository: Repository, name: str) -> str:
    """Where a file's content is asked for."""
    return f"{client.base}/{repository.name}/resolve/{repository.commit}/{urllib.parse.quote(name)}"


def blob_of(client: Client, repository: Repository, name: str) -> Blob:
    """A file as something to download."""
    file = repository.files[name]
    return Blob(file_url(client, repository, name), file.size, file.digest)


def _file(sibling: Any, where: str) -> tuple[str, HubFile]:
    fields: Mapping[str, Any] = sibling if isinstance(sibling, dict) else {}
    name, large = fields.get("rfilename"), fields.get("lfs")
    if not isinstance(name, str) or not _is_inside(name):
        raise DownloadError(f"{where}: lists a file {name!r:.120}, which is no name of a file inside a folder")
    if isinstance(large, dict):
        size, kind, value = large.get("size"), "sha256", large.get("sha256")
    else:
        size, kind, value = fields.get("size"), "git-sha1", fields.get("blobId")
    if type(size) is not int or not 0 <= size <= LARGEST_FILE:
        raise DownloadError(f"{where}: says that {name} has {size!r:.80} bytes")
    if not isinstance(value, str) or not re.fullmatch(
        {"sha256": "[0-9a-f]{64}", "git-sha1": "[0-9a-f]{40}"}[kind], value
    ):
        raise DownloadError(f"{where}: gives {value!r:.80} as the {kind} of {name}")
    return name, HubFile(size, f"{kind}:{value}")


def _is_inside(name: str) -> bool:
    parts = name.split("/")
    return len(name) <= 1024 and all(_NAME.fullmatch(part) and part not in (".", "..") for part in parts)


def _refused(error: RefusedError, wanted: HubName, client: Client) -> DownloadError | ModelNotFoundError:
    """What a refusal means: the hub answers 401 where it does not want to say whether there is such a repository."""
    page = f"{client.base}/{wanted.repository}"
    login = "HF_TOKEN or `hf auth login`" if client.token is None else "a token of an account that may"
    if error.code == "GatedRepo":
        return DownloadError(
            f"{wanted.repository} is gated: its terms are accepted at {page}, and then read with {login}"
        )
    if error.code == "RevisionNotFound":
        return ModelNotFoundError(f"{wanted.repository} has no revision {wanted.revision!r}; {page} lists those it has")
    if error.status in (401, 403, 404):
        return ModelNotFoundError(
            f"the hub at {client.base} has no repository {wanted.repository}, or it is private; the right name, or "
            f"{login}, is needed. One of Ollama's registry is called ollama://{wanted.repository}"
        )
    return error

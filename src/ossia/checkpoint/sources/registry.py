"""What an Ollama registry has: a model's manifest, which names its parts by their sha256.

It speaks the protocol of container registries. Models that may be read by everybody need no token; where the server
wants one it says from whom, and one without a name is asked for.

Source: OCI Distribution Specification 1.1, "Pulling manifests" and "Pulling blobs"; Docker, "Token Authentication
Specification"; ollama, server/images.go and server/auth.go.
"""

import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ossia.checkpoint.sources.download import Blob
from ossia.checkpoint.sources.hub import LARGEST_FILE
from ossia.checkpoint.sources.names import RegistryName
from ossia.checkpoint.sources.transport import Client, RefusedError, origin, read_object
from ossia.errors import DownloadError, ModelNotFoundError

__all__ = ["Layer", "Manifest", "blob_of", "describe", "read_manifest"]

MODEL = "application/vnd.ollama.image.model"
ACCEPT = "application/vnd.docker.distribution.manifest.v2+json"

MOST_LAYERS = 1000
LONGEST_MANIFEST = 1 << 20


@dataclass(frozen=True)
class Layer:
    """A part of a model: what it is, its bytes, and its digest `sha256:…`."""

    media_type: str
    size: int
    digest: str


@dataclass(frozen=True)
class Manifest:
    """A model's parts, its configuration among them, and the manifest as it was received."""

    layers: tuple[Layer, ...]
    source: bytes

    @property
    def models(self) -> list[Layer]:
        """The parts that are weights."""
        return [layer for layer in self.layers if layer.media_type == MODEL]


def describe(client: Client, name: RegistryName) -> Manifest:
    """A model's manifest.

    Raises ModelNotFoundError when the registry has none of that name, DownloadError when it may not be read, makes no
    sense, or cannot be reached.
    """
    url = f"{client.base}/v2/{name.namespace}/{name.model}/manifests/{name.tag}"
    try:
        data = _authorised(client, url)
    except RefusedError as error:
        if error.status in (401, 403, 404):
            raise ModelNotFoundError(
                f"the registry at {client.base} has no model {name}, or it is private; `ossia pull gpt-oss:20b` gets "
                "the published one"
            ) from None
        raise
    manifest = read_manifest(data, f"the manifest of {name} at {client.base}")
    if len(manifest.models) != 1:
        raise DownloadError(f"{name} has {len(manifest.models)} files of weights; one, a GGUF file, is read here")
    if other := next((layer.media_type for layer in manifest.layers if layer.media_type in _FOREIGN), None):
        raise DownloadError(f"{name} has a part {other!r:.100}, which is not read here; a plain model is right")
    return manifest


_FOREIGN = ("application/vnd.ollama.image.adapter", "application/vnd.ollama.image.projector")


def read_manifest(data: bytes, where: str) -> Manifest:
    """A manifest from its JSON. Raises DownloadError, naming `where` it came from, when it makes no sense."""
    found = read_object(data, where)
    layers = found.get("layers")
    if not isinstance(layers, list) or not 0 < len(layers) <= MOST_LAYERS:
        raise DownloadError(f"{where}: has no layers, or more than {MOST_LAYERS}")
    config = [found["config"]] if found.get("config") else []
    return Manifest(tuple(_layer(layer, where) for layer in [*config, *layers]), data)


def blob_of(client: Client, name: RegistryName, layer: Layer) -> Blob:
    """A part of a model as something to download."""
    return Blob(f"{client.base}/v2/{name.namespace}/{name.model}/blobs/{layer.digest}", layer.size, layer.digest)


def _layer(data: Any, where: str) -> Layer:
    fields: Mapping[str, Any] = data if isinstance(data, dict) else {}
    kind, size, digest = fields.get("mediaType"), fields.get("size"), fields.get("digest")
    if not isinstance(kind, str) or type(size) is not int or not 0 <= size <= LARGEST_FILE:
        raise DownloadError(f"{where}: a layer is {data!r:.120}; a mediaType, a size and a digest are right")
    if not isinstance(digest, str) or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise DownloadError(
            f"{where}: a layer's digest is {digest!r:.100}; sha256: and 64 hexadecimal digits are right"
        )
    return Layer(kind, size, digest)


def _authorised(client: Client, url: str) -> bytes:
    """The manifest, after getting a token where the server wants one."""
    try:
        return client.bytes(url, {"Accept": ACCEPT}, LONGEST_MANIFEST)
    except RefusedError as error:
        if error.status != 401 or client.token or not (realm := _token_address(client, error.challenge)):
            raise
        answer = Client(realm).object(realm)
    token = answer.get("token") or answer.get("access_token")
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]{1,8192}", token):
        raise DownloadError(f"{client.base}: the token that it hands out is none")
    client.token = token
    return client.bytes(url, {"Accept": ACCEPT}, LONGEST_MANIFEST)


def _token_address(client: Client, challenge: str) -> str | None:
    """Where a `WWW-Authenticate: Bearer realm=…` sends us for a token; None where it asks for something else."""
    if not challenge.lower().startswith("bearer "):
        return None
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = fields.get("realm", "")
    if origin(realm)[0] != "https" and origin(realm) != origin(client.base):
        return None
    query = urllib.parse.urlencode({key: fields[key] for key in ("service", "scope") if key in fields})
    return f"{realm}{'&' if '?' in realm else '?'}{query}"

"""Ollama's models on disk: found where Ollama has put them, and written there when they come from a registry.

    manifests/HOST/NAMESPACE/MODEL/TAG   what the registry said, as it said it
    blobs/sha256-CHECKSUM                the contents: the GGUF file, template, licence, parameters

Source: ollama, server/modelpath.go, server/manifest.go, server/layer.go.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ossia.checkpoint.sources.local import OLLAMA, Local, size_of
from ossia.checkpoint.sources.names import ALIASES, RegistryName
from ossia.checkpoint.sources.registry import Manifest, read_manifest
from ossia.errors import DownloadError
from ossia.files import open_regular

__all__ = ["Store", "models"]

LONGEST_MANIFEST = 1 << 20


@dataclass(frozen=True)
class Store:
    """A folder of Ollama's form."""

    folder: Path

    def manifest(self, name: RegistryName) -> Path:
        """Where a model's manifest lies."""
        return self.folder / "manifests" / name.host / name.namespace / name.model / name.tag

    def blob(self, digest: str) -> Path:
        """A content by its digest, `sha256:…`."""
        return self.folder / "blobs" / digest.replace(":", "-")

    def part(self, digest: str) -> Path:
        """A content on its way: not among the blobs, from which Ollama removes what it does not know."""
        return self.folder / ".ossia" / f"{digest.replace(':', '-')}.ossia-part"

    def lock(self, digest: str) -> Path:
        """The lock of a content."""
        return self.folder / ".ossia" / f"{digest.replace(':', '-')}.lock"

    def keep(self, name: RegistryName, manifest: Manifest) -> None:
        """Write a manifest: from then on the model is there, for Ollama too."""
        file = self.manifest(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.folder / ".ossia" / f"manifest.{os.getpid()}"
        fresh.parent.mkdir(exist_ok=True)
        fresh.write_bytes(manifest.source)
        fresh.replace(file)

    def remove(self, file: Path) -> int:
        """Remove a model by its manifest, and the contents that no other manifest names; the bytes freed."""
        gone = _manifest(file)
        file.unlink(missing_ok=True)
        for folder in list(file.parents)[:3]:
            with contextlib.suppress(OSError):
                folder.rmdir()
        others = [_manifest(other) for other in self.manifests()]
        if gone is None or None in others:
            # A manifest that cannot be read may name anything: nothing is certain to be unused.
            return 0
        kept = {layer.digest for other in others if other for layer in other.layers}
        freed = 0
        for digest in {layer.digest for layer in gone.layers} - kept:
            freed += size_of(self.blob(digest))
            self.blob(digest).unlink(missing_ok=True)
        return freed

    def manifests(self) -> list[Path]:
        """The manifests of all models."""
        with contextlib.suppress(OSError):
            return sorted(file for file in (self.folder / "manifests").glob("*/*/*/*") if file.is_file())
        return []


def models(folder: Path) -> Iterator[Local]:
    """Every model in a folder of Ollama's form that has one GGUF file."""
    store = Store(folder)
    for file in store.manifests():
        host, namespace, model, tag = file.relative_to(folder / "manifests").parts
        manifest = _manifest(file)
        if manifest is None or len(manifest.models) != 1 or tag.startswith("."):
            continue
        name = RegistryName(model, tag, namespace, host)
        official = (host, namespace) == ("registry.ollama.ai", "library")
        yield Local(
            name=f"ollama://{name}",
            path=store.blob(manifest.models[0].digest),
            program=OLLAMA,
            files=tuple(store.blob(layer.digest) for layer in manifest.layers),
            same_as=ALIASES.get(str(name)) if official else None,
        )


def _manifest(file: Path) -> Manifest | None:
    try:
        with open_regular(file) as handle:
            return read_manifest(handle.read(LONGEST_MANIFEST), str(file))
    except (OSError, DownloadError):
        return None

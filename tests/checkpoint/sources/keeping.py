"""Models on disk as each program leaves them."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ossia.checkpoint import write
from tests.checkpoint.models import TINY, tensors_for

COMMIT = "a" * 40


def gguf_file(file: Path, layout: str = "gguf", seed: int = 0) -> Path:
    """A tiny model in GGUF."""
    write(file, TINY, tensors_for(TINY, seed=seed), layout)  # type: ignore[arg-type]
    return file


def keep_hub(cache: Path, name: str, commit: str = COMMIT, revision: str | None = "main", seed: int = 0) -> Path:
    """A safetensors model as huggingface_hub leaves it: links to contents."""
    folder = cache / f"models--{name.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    made = folder / "made"
    write(made, TINY, tensors_for(TINY, seed=seed))
    for file in made.iterdir():
        keep_hub_file(folder, snapshot, file.name, file.read_bytes())
        file.unlink()
    made.rmdir()
    if revision:
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / revision).write_text(commit)
    return snapshot


def keep_hub_file(folder: Path, snapshot: Path, name: str, data: bytes, blobs: str = "../../blobs") -> Path:
    """One file of a repository, as huggingface_hub leaves it."""
    blob = folder / "blobs" / hashlib.sha256(data).hexdigest()
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(data)
    snapshot.mkdir(parents=True, exist_ok=True)
    (snapshot / name).symlink_to(f"{blobs}/{blob.name}")
    return snapshot / name


def keep_ollama(folder: Path, name: str, tag: str, seed: int = 0) -> Path:
    """A model as Ollama leaves it; the GGUF file."""
    (folder / "blobs").mkdir(parents=True, exist_ok=True)
    model = gguf_file(folder / "new", "ollama", seed)
    layers = [_layer(folder, "model", model.read_bytes()), _layer(folder, "license", b"Apache")]
    model.unlink()
    manifest = folder / "manifests" / "registry.ollama.ai" / name / tag
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps({"config": _layer(folder, "config", b"{}"), "layers": layers}))
    return folder / "blobs" / layers[0]["digest"].replace(":", "-")


def _layer(folder: Path, kind: str, data: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    (folder / "blobs" / digest.replace(":", "-")).write_bytes(data)
    return {"mediaType": f"application/vnd.ollama.image.{kind}", "size": len(data), "digest": digest}

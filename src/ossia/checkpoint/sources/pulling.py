"""Fetching a model: from the hub into Hugging Face's cache, from a registry into Ollama's.

A model that can never be run here is refused before its weights are fetched: by its config, by the first bytes of a
GGUF file, by the names of its files. What was fetched before, whole or in part, is not fetched again.
"""

import http.client
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from ossia.checkpoint.gguf_metadata import ARCHITECTURES
from ossia.checkpoint.sources import hub, locks, records, registry, settings
from ossia.checkpoint.sources.download import Blob, Notes, download
from ossia.checkpoint.sources.hub_cache import Storage
from ossia.checkpoint.sources.local import size_of
from ossia.checkpoint.sources.names import DEFAULT_REGISTRY, HubName, RegistryName, parse
from ossia.checkpoint.sources.ollama_store import Store
from ossia.checkpoint.sources.part import missing_bytes
from ossia.checkpoint.sources.selection import BESIDE, select
from ossia.checkpoint.sources.transport import Client, broken, patiently, read_object
from ossia.checkpoint.sources.verdict import (
    GGUF_HEAD,
    gguf_architecture,
    refusal_of_architecture,
    refusal_of_config,
)
from ossia.errors import CancelledError, CapacityError, DownloadError

__all__ = ["Progress", "Pulling", "pull"]

FIRST_TRIES = 3
"""How often a server is asked before anything has come of it: whoever has no network should hear so soon."""

LARGEST_BESIDE = 256 << 20
"""Bytes of a file beside the weights: nine times the published tokenizer's."""

SPARE = 64 << 20
"""Bytes that stay free on a disk, for the file system's own tables."""


@dataclass(frozen=True)
class Pulling:
    """How far it is, in the words of Ollama's API.

    `digest`, `completed` and `total` are of the file at hand, `model_completed` and `model_total` of all its files.
    """

    status: str
    digest: str | None = None
    total: int | None = None
    completed: int | None = None
    model_total: int | None = None
    model_completed: int | None = None


Progress = Callable[[Pulling], None]
"""Called often, always in the thread that pulls."""


@dataclass(frozen=True)
class Piece:
    """One file of a model: where it comes from and where it goes."""

    blob: Blob
    target: Path
    part: Path
    lock: Path


def pull(
    name: str,
    progress: Progress = lambda pulling: None,
    stopped: Callable[[], bool] = lambda: False,
    *,
    anywhere: bool = True,
) -> Path:
    """Fetch the model of that name, or what is missing of it; where it lies then.

    `anywhere` False refuses registries other than Ollama's, for callers whose users may not make this machine ask
    servers of their choice.

    Raises ModelNotFoundError when there is none such, DownloadError when it cannot be fetched or could not be run
    (CancelledError once `stopped` is true), CapacityError when the disk is too small.
    """
    wanted = parse(name)
    if isinstance(wanted, RegistryName) and wanted.host != DEFAULT_REGISTRY and not anywhere:
        raise DownloadError(f"{wanted.host} may not be asked from here; {DEFAULT_REGISTRY} and the hub may")
    settings.check_online()
    progress(Pulling("pulling manifest"))
    work = _Pull(progress, stopped)
    try:
        path = work.from_hub(wanted) if isinstance(wanted, HubName) else work.from_registry(wanted)
    except OSError as error:
        raise DownloadError(f"{error.filename or 'the cache'}: cannot be written: {error.strerror or error}") from error
    records.note(path, name)
    progress(Pulling("success"))
    return path


class _Pull:
    """One pull: whom it tells, and who may stop it."""

    def __init__(self, progress: Progress, stopped: Callable[[], bool]) -> None:
        self._progress = progress
        self._stopped = stopped

    def from_hub(self, wanted: HubName) -> Path:
        """All files of one layout, then their names in the snapshot, then the revision's."""
        client = Client(settings.hub_endpoint(), settings.hub_token())
        repository = patiently(lambda: hub.describe(client, wanted), stopped=self._stopped, tries=FIRST_TRIES)
        names = select(repository.files, wanted.quant, wanted.repository)
        _check_beside(repository, names)
        storage = Storage(settings.hub_cache(), wanted.repository)
        pieces = {
            name: Piece(
                hub.blob_of(client, repository, name), storage.blob(blob), storage.part(blob), storage.lock(blob)
            )
            for name in names
            if (blob := repository.files[name].blob)
        }
        if "config.json" in pieces:
            self._fetch(client, [pieces["config.json"]])
            self._check_config(pieces["config.json"].target, wanted)
        else:
            self._check_architecture(client, pieces[names[0]], str(wanted))
        self._fetch(client, list(pieces.values()))
        self._progress(Pulling("writing manifest"))
        for name in names:
            storage.link(repository.commit, name, repository.files[name].blob)
        storage.refer(wanted.revision, repository.commit)
        snapshot = storage.snapshot(repository.commit)
        return snapshot if "config.json" in pieces else snapshot / names[0]

    def from_registry(self, wanted: RegistryName) -> Path:
        """All parts that the manifest names, then the manifest itself."""
        client = Client(settings.registry_endpoint(wanted.host))
        manifest = patiently(lambda: registry.describe(client, wanted), stopped=self._stopped, tries=FIRST_TRIES)
        store = Store(settings.ollama_folder())
        pieces = {
            layer.digest: Piece(
                registry.blob_of(client, wanted, layer),
                store.blob(layer.digest),
                store.part(layer.digest),
                store.lock(layer.digest),
            )
            for layer in manifest.layers
        }
        model = pieces[manifest.models[0].digest]
        self._check_architecture(client, model, str(wanted))
        self._fetch(client, list(pieces.values()))
        self._progress(Pulling("writing manifest"))
        store.keep(wanted, manifest)
        return model.target

    def _fetch(self, client: Client, pieces: list[Piece]) -> None:
        """Every file that is not there yet, one after the other, each by several connections."""
        self._check_disk(pieces)
        total, before = sum(piece.blob.size for piece in pieces), 0
        for piece in pieces:
            self._check_stopped()
            short = piece.blob.digest.partition(":")[2][:12]
            state = Pulling(f"pulling {short}", piece.blob.digest, piece.blob.size, 0, total, before)
            with self._lock(piece, replace(state, status=f"waiting for another download of {short}")):
                if not _is_there(piece):
                    self._one(client, piece, state)
            before += piece.blob.size
            self._progress(replace(state, completed=piece.blob.size, model_completed=before))
        self._check_stopped()

    def _one(self, client: Client, piece: Piece, state: Pulling) -> None:
        before = state.model_completed or 0
        verifying = replace(state, status="verifying sha256 digest", model_completed=before + piece.blob.size)
        notes = Notes(
            lambda done: self._progress(replace(state, completed=done, model_completed=before + done)),
            lambda done: self._progress(replace(verifying, completed=done)),
            self._stopped,
        )
        download(client, piece.blob, piece.part, piece.target, notes)

    def _check_stopped(self) -> None:
        if self._stopped():
            raise CancelledError("stopped; what has come is kept for the next time")

    def _lock(self, piece: Piece, state: Pulling) -> AbstractContextManager[None]:
        return locks.locked(piece.lock, lambda: self._progress(state), self._stopped)

    def _check_disk(self, pieces: list[Piece]) -> None:
        folder = pieces[0].target.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
        except OSError as error:
            raise DownloadError(f"{folder}: cannot be written: {error.strerror or error}") from error
        needed = sum(missing_bytes(piece.part, piece.blob.size) for piece in pieces if not _is_there(piece))
        if needed and needed + SPARE > free:
            raise CapacityError(f"{folder}: needs {_gib(needed + SPARE)}, the disk has {_gib(free)} free")

    def _check_config(self, file: Path, wanted: HubName) -> None:
        config = read_object(file.read_bytes(), f"config.json of {wanted}")
        if config.get("model_type") != "gpt_oss":
            raise DownloadError(f"{wanted} {refusal_of_architecture(config.get('model_type'))}")
        if refusal := refusal_of_config(config, str(wanted)):
            raise DownloadError(f"{wanted} {refusal[1]}")

    def _check_architecture(self, client: Client, piece: Piece, name: str) -> None:
        """Look at the first bytes of a GGUF file that is not here yet."""
        if _is_there(piece):
            return
        head = patiently(lambda: _head(client, piece.blob), stopped=self._stopped)
        architecture = gguf_architecture(head)
        if not head.startswith(b"GGUF"):
            raise DownloadError(f"{name} is no GGUF file; it starts with {head[:8]!r}")
        if architecture is not None and architecture not in ARCHITECTURES:
            raise DownloadError(f"{name} {refusal_of_architecture(architecture)}")


def _head(client: Client, blob: Blob) -> bytes:
    """The first bytes of a file, from servers too that send all of it whatever is asked."""
    end = min(GGUF_HEAD, blob.size)
    with client.open(blob.url, {"Range": f"bytes=0-{max(end, 1) - 1}"}) as answer:
        try:
            return answer.read(end)
        except (OSError, http.client.HTTPException) as error:
            raise broken(error, blob.url) from None


def _check_beside(repository: hub.Repository, names: tuple[str, ...]) -> None:
    """Configs and tokenizers are read whole, so their sizes are not for others to choose."""
    for name in names:
        if name in BESIDE and repository.files[name].size > LARGEST_BESIDE:
            size = repository.files[name].size
            raise DownloadError(f"{repository.name}: {name} has {size} bytes; at most {LARGEST_BESIDE} are right")


def _is_there(piece: Piece) -> bool:
    return piece.target.is_file() and size_of(piece.target) == piece.blob.size


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"

"""Hugging Face's cache on disk: what transformers has downloaded is found in it, and what we download goes there.

    models--ORG--NAME/blobs/CHECKSUM          the content, once for all revisions
    models--ORG--NAME/snapshots/COMMIT/FILE   links to it, under the files' own names
    models--ORG--NAME/refs/main               the commit of a branch or a tag

Source: huggingface_hub, docs/source/en/guides/manage-cache.md, and file_download.py.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ossia.checkpoint.gguf import parts_of
from ossia.checkpoint.sources.local import HUGGING_FACE, Local, same_model, size_of
from ossia.checkpoint.sources.names import quant_of
from ossia.files import open_regular

__all__ = ["Snapshot", "Storage", "models", "snapshots"]


@dataclass(frozen=True)
class Snapshot:
    """One commit of a repository as the cache has it; `revision` is the branch or tag that leads to it, if any does."""

    repository: str
    revision: str
    folder: Path

    @property
    def name(self) -> str:
        """What it is found by."""
        return self.repository if self.revision == "main" else f"{self.repository}@{self.revision}"


@dataclass(frozen=True)
class Storage:
    """A repository's folder in a cache."""

    cache: Path
    repository: str

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.cache / f"models--{self.repository.replace('/', '--')}"

    def blob(self, name: str) -> Path:
        """A content."""
        return self.folder / "blobs" / name

    def part(self, name: str) -> Path:
        """A content on its way; the name is none that huggingface_hub takes for its own."""
        return self.folder / "blobs" / f"{name}.ossia-part"

    def lock(self, name: str) -> Path:
        """The lock of a content, the same as huggingface_hub's."""
        return self.cache / ".locks" / self.folder.name / f"{name}.lock"

    def snapshot(self, commit: str) -> Path:
        """The folder of a commit."""
        return self.folder / "snapshots" / commit

    def link(self, commit: str, file: str, blob: str) -> None:
        """Give a content its name in a commit: by a relative link, or failing that by a second name or a copy."""
        place = self.snapshot(commit) / file
        place.parent.mkdir(parents=True, exist_ok=True)
        target = os.path.relpath(self.blob(blob), place.parent)
        if place.is_symlink() and os.readlink(place) == target:  # noqa: PTH115  # a Path would lose the link's form
            return
        fresh = place.with_name(f".{place.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        try:
            fresh.symlink_to(target)
        except OSError:
            try:
                fresh.hardlink_to(self.blob(blob))
            except OSError:
                shutil.copyfile(self.blob(blob), fresh)
        fresh.replace(place)

    def refer(self, revision: str, commit: str) -> None:
        """Let a branch or a tag lead to a commit."""
        if revision == commit:
            return
        file = self.folder / "refs" / revision
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}.{os.getpid()}")
        fresh.write_text(commit, "ascii")
        fresh.replace(file)

    def remove(self, snapshot: Path, files: Iterable[Path]) -> int:
        """Remove a model's files from a snapshot, and the contents that nothing else refers to; the bytes freed."""
        gone = [file for file in files if file.is_relative_to(snapshot)]
        contents = {file: file.resolve() for file in gone}
        for file in gone:
            file.unlink(missing_ok=True)
        _prune(snapshot)
        kept = {file.resolve() for file in (self.folder / "snapshots").rglob("*") if not file.is_dir()}
        blobs = (self.folder / "blobs").resolve()
        freed = 0
        for content in set(contents.values()) - kept:
            # A link that leads elsewhere is no reason to delete there.
            if content.parent == blobs:
                freed += size_of(content)
                content.unlink(missing_ok=True)
        if not snapshot.exists():
            self._forget(snapshot.name)
        return freed

    def parts(self) -> list[Path]:
        """What interrupted downloads of ours have left."""
        return sorted((self.folder / "blobs").glob("*.ossia-part"))

    def _forget(self, commit: str) -> None:
        """Remove the branches and tags that led to a commit; with the last commit, the whole folder."""
        for file in [file for file in (self.folder / "refs").rglob("*") if file.is_file()]:
            if _commit(file) == commit:
                file.unlink(missing_ok=True)
        busy = any((self.folder / "blobs").glob("*.incomplete"))
        if not busy and not any((self.folder / "snapshots").glob("*")) and not self.folder.is_symlink():
            shutil.rmtree(self.folder, ignore_errors=True)


def snapshots(cache: Path) -> Iterator[Snapshot]:
    """Every commit of every model in a cache, once for each branch or tag that leads to it, or by itself."""
    for folder in _listed(cache, "models--*"):
        repository = folder.name.removeprefix("models--").replace("--", "/")
        named: set[str] = set()
        references = folder / "refs"
        for file in _listed(references, "**/*"):
            snapshot = folder / "snapshots" / (commit := _commit(file) or "?")
            if snapshot.is_dir():
                named.add(commit)
                yield Snapshot(repository, file.relative_to(references).as_posix(), snapshot)
        for snapshot in _listed(folder / "snapshots", "*"):
            if snapshot.name not in named and snapshot.is_dir():
                yield Snapshot(repository, snapshot.name, snapshot)


def models(cache: Path) -> Iterator[Local]:
    """Every model in a cache: a snapshot's safetensors, those in its `original/`, and each of its GGUF files."""
    for snapshot in snapshots(cache):
        files = [file for file in _listed(snapshot.folder, "**/*") if not file.is_dir()]
        ggufs = [file for file in files if file.suffix == ".gguf"]
        yield from (_gguf(snapshot, file) for file in ggufs if parts_of(file)[0] == file)
        original = snapshot.folder / "original"
        own = [file for file in files if file not in ggufs and not file.is_relative_to(original)]
        if own:
            yield _folder(snapshot, snapshot.folder, own)
        if (original / "config.json").is_file():
            yield _folder(snapshot, original, [file for file in files if file.is_relative_to(original)])


def _folder(snapshot: Snapshot, folder: Path, files: list[Path]) -> Local:
    """A model of safetensors; what lies in `original/` is one of its own, as OpenAI's instructions fetch it."""
    return Local(
        name=snapshot.name if folder == snapshot.folder else f"{snapshot.name}/{folder.name}",
        path=folder,
        program=HUGGING_FACE,
        files=tuple(files),
        same_as=same_model(snapshot.repository) if snapshot.revision == "main" else None,
    )


def _gguf(snapshot: Snapshot, file: Path) -> Local:
    return Local(
        name=f"{snapshot.name}:{quant_of(file.name) or file.stem}",
        path=file,
        program=HUGGING_FACE,
        files=tuple(parts_of(file)),
        same_as=same_model(snapshot.repository),
    )


def _commit(file: Path) -> str | None:
    """What a reference says; None unless it could be the name of a folder beside the others."""
    try:
        with open_regular(file) as handle:
            text = handle.read(200).decode("ascii", "replace").strip()
    except OSError:
        return None
    return text if re.fullmatch(r"\w{1,128}", text, re.ASCII) else None


def _listed(folder: Path, pattern: str) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(folder.glob(pattern))
    return []


def _prune(folder: Path) -> None:
    """Remove folders that have become empty, the given one included."""
    for inner in sorted((one for one in folder.rglob("*") if one.is_dir() and not one.is_symlink()), reverse=True):
        with contextlib.suppress(OSError):
            inner.rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()

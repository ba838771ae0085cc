"""Opening a checkpoint of any layout by its path.

Safetensors checkpoints are memory-mapped, and every tensor is a read-only view of the map. Opening touches the headers
alone, so that a model larger than memory opens at once. One check needs the data and is left to whoever first uses a
tensor: `mxfp4.check_scales(packed, name)`, for the scale byte that is no number; backends call it as they prepare a
tensor that nobody has looked at before. It reads 1/17 of the tensor.

A file that another program cuts short while it is mapped ends the process at the next read behind its end (SIGBUS):
nothing in Python can turn that into an error. Writers that rename, as ours does, never cause it.
"""

from pathlib import Path

from ossia.checkpoint.checkpoint import Checkpoint
from ossia.checkpoint.folder import open_folder
from ossia.checkpoint.gguf import MAGIC, parts_of
from ossia.errors import CheckpointError, ModelNotFoundError
from ossia.files import open_regular

__all__ = ["open_checkpoint"]


def open_checkpoint(path: Path | str) -> Checkpoint:
    """Opens a folder of the Hugging Face or the `original/` layout, or a GGUF file.

    A folder without safetensors but with one GGUF file, whole or in parts, is that file. Raises ModelNotFoundError when
    there is nothing of that name, ConfigError, CheckpointError or TensorError when it is there but cannot be right.
    """
    path = Path(path)
    if path.is_dir():
        found = sorted(path.glob("*.gguf"))
        if found and parts_of(found[0]) == found and not any(path.glob("*.safetensors")):
            return _open_gguf(found[0])
        return open_folder(path)
    if not path.exists():
        raise ModelNotFoundError(f"{path}: no such file or folder")
    return _open_gguf(path) if _is_gguf(path) else _sole_file(path)


def _open_gguf(file: Path) -> Checkpoint:
    from ossia.checkpoint.gguf_layout import open_gguf  # noqa: PLC0415 # folders are opened without it

    return open_gguf(file)


def _is_gguf(file: Path) -> bool:
    try:
        with open_regular(file) as handle:
            return file.suffix == ".gguf" or handle.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror or error}") from error


def _sole_file(file: Path) -> Checkpoint:
    """A safetensors file named itself stands for its folder, if that has no other."""
    if file.suffix != ".safetensors":
        raise CheckpointError(f"{file}: is neither GGUF nor safetensors; a checkpoint's folder or a GGUF file is right")
    if others := [other.name for other in file.parent.glob("*.safetensors") if other.name != file.name]:
        raise CheckpointError(f"{file}: is one of {len(others) + 1} shards; the folder, {file.parent}, is right")
    return open_folder(file.parent)

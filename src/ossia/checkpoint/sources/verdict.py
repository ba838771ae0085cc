"""Whether a model on disk can be run here, and if not, why and what would help.

The last word has `open_checkpoint`. What comes before it only tells apart what users are likely to have: other
architectures, downloads that were interrupted, and the formats of other programs.
"""

import functools
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossia.checkpoint.gguf import MAGIC, parts_of
from ossia.checkpoint.gguf_metadata import ARCHITECTURES
from ossia.checkpoint.reader import open_checkpoint
from ossia.errors import OssiaError, TensorError
from ossia.files import open_regular, read_regular

__all__ = ["GGUF_HEAD", "Verdict", "gguf_architecture", "judge", "refusal_of_architecture", "refusal_of_config"]

GGUF_HEAD = 64 << 10
"""Bytes of a GGUF file within which its architecture stands: writers put it first."""

_LONGEST_CONFIG = 4 << 20
_SIZES = {4: "<I", 5: "<i", 6: "<f", 0: "<B", 1: "<b", 2: "<H", 3: "<h", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING = 8


@dataclass(frozen=True)
class Verdict:
    """`layout` as an open checkpoint has it; `refusal` None when it can be run.

    related     whether it is gpt-oss at all
    incomplete  whether only a part of it is there
    """

    layout: str | None
    refusal: str | None = None
    related: bool = True
    incomplete: bool = False


def judge(path: Path) -> Verdict:
    """What a folder or a GGUF file is; headers are read, weights are not.

    A GGUF file's vocabulary takes a second to read, so what was found is kept until the files change.
    """
    return _judged(path, _stamp(path))


@functools.lru_cache(maxsize=256)
def _judged(path: Path, stamp: object) -> Verdict:
    try:
        early = _judge_folder(path) if path.is_dir() else _judge_file(path)
        return early or Verdict(open_checkpoint(path).layout)
    except TensorError as error:
        return Verdict("hugging_face" if path.is_dir() else "gguf", f"{error}. {_published(str(path))}")
    except (OssiaError, OSError) as error:
        return Verdict(None, str(error))


def _stamp(path: Path) -> object:
    """What changes when a model's files do: names, sizes and times."""
    try:
        folder = path.is_dir()
        files = sorted(path.iterdir()) if folder else [part for part in parts_of(path) if part.exists()]
        return tuple((str(file), (about := file.stat()).st_size, about.st_mtime_ns) for file in files if file.exists())
    except OSError:
        return object()


def refusal_of_config(config: Mapping[str, Any], name: str) -> tuple[str | None, str] | None:
    """Layout, and why a model with this `config.json` cannot be run; None when it may be."""
    if "quantization" in config:
        return "mlx", f"is quantised for MLX, which is not read here. {_published(name)}"
    quantisation = config.get("quantization_config")
    method = quantisation.get("quant_method") if isinstance(quantisation, Mapping) else None
    if method not in (None, "mxfp4"):
        return str(method)[:40], f"is quantised with {method!r:.40}, which is not read here. {_published(name)}"
    return None


def refusal_of_architecture(name: object) -> str:
    """Why a model of another architecture cannot be run."""
    return f"is of the architecture {name!r:.40}; only gpt-oss models are run here, `ossia pull gpt-oss:20b` gets one"


def gguf_architecture(head: bytes) -> str | None:
    """`general.architecture` of a GGUF file that begins with these bytes; None where they do not say."""
    if head[:4] != MAGIC:
        return None
    try:
        (count,) = struct.unpack_from("<Q", head, 16)
        at = 24
        for _ in range(min(count, 64)):
            key, at = _string(head, at)
            (kind,) = struct.unpack_from("<I", head, at)
            if kind == _STRING:
                value, at = _string(head, at + 4)
                if key == b"general.architecture":
                    return value.decode("utf-8", "replace")
            elif kind in _SIZES:
                at += 4 + struct.calcsize(_SIZES[kind])
            else:
                return None
    except struct.error:
        return None
    return None


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("<Q", data, at)
    if length > len(data) - at - 8:
        raise struct.error("cut")
    return data[at + 8 : at + 8 + length], at + 8 + length


def _judge_folder(folder: Path) -> Verdict | None:
    file = folder / "config.json"
    try:
        with open_regular(file) as handle:
            config = json.loads(handle.read(_LONGEST_CONFIG))
    except FileNotFoundError:
        missing = Verdict(None, "only a part of it is here: config.json is missing", related=False, incomplete=True)
        return None if any(folder.glob("*.gguf")) else missing
    except (OSError, ValueError, RecursionError):
        return Verdict(None, f"has no readable {file}", related=False)
    if not isinstance(config, dict):
        return Verdict(None, f"{file} is no JSON object", related=False)
    architecture = config.get("model_type")
    if architecture != "gpt_oss" and not (architecture is None and "swiglu_limit" in config):
        return Verdict(None, refusal_of_architecture(architecture), related=False)
    if refusal := refusal_of_config(config, str(folder)):
        return Verdict(*refusal)
    if missing := _missing_shards(folder):
        return Verdict("hugging_face", f"only a part of it is here: {missing} is missing", incomplete=True)
    return None


def _missing_shards(folder: Path) -> str | None:
    """A file of weights that ought to be there and is not."""
    try:
        index = json.loads(read_regular(folder / "model.safetensors.index.json"))
        names = sorted({name for name in index["weight_map"].values() if isinstance(name, str)})
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        names = [] if any(folder.glob("*.safetensors")) else ["model.safetensors"]
    # What is not the name of a file of this folder is left to the reader, which refuses it.
    return next((name for name in names if Path(name).name == name and not (folder / name).is_file()), None)


def _judge_file(file: Path) -> Verdict | None:
    try:
        with open_regular(file) as handle:
            head = handle.read(GGUF_HEAD)
    except FileNotFoundError:
        return Verdict("gguf", f"only a part of it is here: {file.name} is missing", incomplete=True)
    except OSError as error:
        return Verdict(None, f"cannot be read: {error.strerror or error}", related=False)
    if head[:4] != MAGIC:
        return Verdict(None, "is no GGUF file", related=False)
    architecture = gguf_architecture(head)
    if architecture is not None and architecture not in ARCHITECTURES:
        return Verdict("gguf", refusal_of_architecture(architecture), related=False)
    missing = next((part.name for part in parts_of(file) if not part.is_file()), None)
    return Verdict("gguf", f"only a part of it is here: {missing} is missing", incomplete=True) if missing else None


def _published(name: str) -> str:
    size = "120b" if "120b" in name.lower() else "20b"
    return f"The published weights are right: `ossia pull openai/gpt-oss-{size}`"

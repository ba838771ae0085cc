"""From what a user calls a model to where it is: a path, `nano`, or a name under which some program downloaded it."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ossia.checkpoint.sources.names import ALIASES, is_remote
from ossia.errors import CheckpointError, ModelNotFoundError

if TYPE_CHECKING:
    from ossia.checkpoint.sources.pulling import Progress

__all__ = ["find", "find_config", "find_or_pull", "published_configs"]

_EMBEDDED = "nano"

_DATA = Path(__file__).parents[1] / "data"


def find(name: str) -> Path:
    """The checkpoint that goes by `name`: `nano`, an existing path, or the name of a downloaded model.

    `nano` is the embedded model whatever lies in the working folder; `./nano` is a path. Other names are looked up in
    the folders of Hugging Face, Ollama, LM Studio and llama.cpp: the model of that very name first, then one with the
    published weights that it stands for.

    Raises ModelNotFoundError, which says what would be right, when there is none or only a part of it; CheckpointError
    when what is there cannot be run.
    """
    if name == _EMBEDDED:
        return _embedded()
    if _exists(name):
        return Path(name)
    return _downloaded(name)


def _downloaded(name: str) -> Path:
    # Neither a path nor the embedded model needs to know where other programs keep theirs.
    from ossia.checkpoint.sources.inventory import candidates  # noqa: PLC0415
    from ossia.checkpoint.sources.verdict import judge  # noqa: PLC0415

    reason: CheckpointError | ModelNotFoundError | None = None
    for local in candidates(name):
        verdict = judge(local.path)
        if verdict.refusal is None:
            return local.path
        if verdict.incomplete:
            reason = reason or ModelNotFoundError(
                f"{name}: {verdict.refusal} ({local.path}); `ossia pull {name}` goes on with the download"
            )
        else:
            reason = reason or CheckpointError(f"{name}, as {local.program} has it ({local.path}): {verdict.refusal}")
    raise reason or ModelNotFoundError(f"no model {name!r} here{_advice(name)}")


def find_or_pull(
    name: str, progress: "Progress" = lambda pulling: None, stopped: Callable[[], bool] = lambda: False
) -> Path:
    """As `find`; where only a download is missing, it is made.

    A single word is not downloaded: it may be a slip. Raises what `find` and `pull` raise.
    """
    try:
        return find(name)
    except ModelNotFoundError:
        if not is_remote(name):
            raise
    from ossia.checkpoint.sources.pulling import pull  # noqa: PLC0415 # brings HTTP

    return pull(name, progress, stopped)


def find_config(name: str) -> Path | None:
    """The config that goes by `name` where no weights are needed: a JSON file, or a published model's name.

    `20b` and `120b` are the published configs whatever lies in the working folder; a path comes before longer names.
    """
    published = published_configs().get(name)
    if published and published.stem == name:
        return published
    if _exists(name):
        return Path(name) if Path(name).suffix == ".json" else None
    return published


def published_configs() -> dict[str, Path]:
    """The published models' configs, by the names that stand for them: `20b`, `gpt-oss-20b`, `openai/gpt-oss-20b`."""
    folder = _DATA / "configs"
    return {
        prefix + file.stem: file
        for file in sorted(folder.glob("*.json"))
        for prefix in ("", "gpt-oss-", "openai/gpt-oss-")
    }


def _exists(name: str) -> bool:
    try:
        return bool(name) and Path(name).exists()
    except (OSError, ValueError):
        # Too long for a file's name, or in a folder that may not be looked into: no path that could be opened.
        return False


def _embedded() -> Path:
    folder = _DATA / _EMBEDDED
    if not (folder / "config.json").is_file():
        raise ModelNotFoundError(f"this build has no embedded model {_EMBEDDED!r}; a path to a checkpoint is right")
    return folder


def _advice(name: str) -> str:
    if name.lower() in ALIASES or is_remote(name):
        size = published_configs().get(name)
        other = f"; `ossia make-random {size.stem} --out DIR` makes one of that size" if size else ""
        return f": `ossia pull {name}` downloads it{other}. A path to its folder or GGUF file is right too"
    from ossia.checkpoint.sources.inventory import models  # noqa: PLC0415

    near = difflib.get_close_matches(name, [*(local.name for local in models()), *ALIASES, _EMBEDDED], n=3)
    guess = f"; did you mean {' or '.join(near)}?" if near else "."
    return f"{guess} A folder, a GGUF file, {_EMBEDDED!r}, or a model's name such as gpt-oss:20b is right"

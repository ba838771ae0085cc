"""`options` and `keep_alive`, as Ollama's clients write them.

Source: Ollama's docs/modelfile.mdx, "Valid parameters and values", and docs/api.md.
"""

import math
import re
from typing import Any

from msgspec import Struct

from ossia.server.body import convert
from ossia.server.faults import RefusedError
from ossia.server.sampling import PLAIN, plain, stop_strings

__all__ = ["PATHS", "Options", "keep_alive_of", "options_of", "sampling_of"]

_DURATION = re.compile(r"(-?)((?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+)")  # Go writes it so
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Options(Struct, forbid_unknown_fields=True, kw_only=True):
    """What `options` may have."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    num_predict: int | None = None
    stop: str | list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    num_ctx: int | None = None
    # Refused unless they leave the probabilities as they are.
    repeat_penalty: float | None = None
    tfs_z: float | None = None
    typical_p: float | None = None
    mirostat: int | None = None
    embedding_only: bool | None = None
    vocab_only: bool | None = None
    # How a model is loaded, and settings of what is refused above: the answer is the same without them.
    repeat_last_n: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    penalize_newline: bool | None = None
    num_keep: int | None = None
    num_batch: int | None = None
    num_gpu: int | None = None
    num_thread: int | None = None
    main_gpu: int | None = None
    low_vram: bool | None = None
    f16_kv: bool | None = None
    logits_all: bool | None = None
    use_mmap: bool | None = None
    use_mlock: bool | None = None
    numa: bool | None = None
    draft_num_predict: int | None = None


PATHS = {name: f"options.{name}" for name in PLAIN} | {
    "max_tokens": "options.num_predict",
    "logprobs": "top_logprobs",
}
"""Where in a request the parameters stand."""

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "repeat_penalty": (None, 1, 0),
    "tfs_z": (None, 1),
    "typical_p": (None, 1),
    "mirostat": (None, 0),
    "embedding_only": (None, False),
    "vocab_only": (None, False),
}


def sampling_of(options: Options) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of SamplingParams that the options name, and the stop strings. Raises RefusedError."""
    for name, neutral in _NEUTRAL.items():
        if (value := getattr(options, name)) not in neutral:
            right = "frequency_penalty and presence_penalty are" if name == "repeat_penalty" else f"{neutral[1]} is"
            raise RefusedError(f"options.{name} is {value!r}; it is not supported, {right}", param=f"options.{name}")
    wanted = plain(options)
    # Ollama's way of saying that there is no bound.
    if options.num_predict is not None and options.num_predict not in (-1, -2):
        if options.num_predict < 1:
            found = f"options.num_predict is {options.num_predict}"
            raise RefusedError(
                f"{found}; -1 for no bound, or a whole number from 1 on, is right", param="options.num_predict"
            )
        wanted["max_tokens"] = options.num_predict
    if wanted.get("seed") == -1:
        del wanted["seed"]
    return wanted, stop_strings(options.stop, "options.stop")


def keep_alive_of(value: float | str | None) -> float | None:
    """The seconds that a model is to stay loaded; negative: for ever. Raises RefusedError.

    >>> keep_alive_of("1h30m"), keep_alive_of("-1m"), keep_alive_of(0)
    (5400.0, -60.0, 0.0)
    """
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        if match := _DURATION.fullmatch(text):
            seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(match[2]))
            return -seconds if match[1] else seconds
        try:
            value = float(text)
        except ValueError:
            value = math.nan
    if not math.isfinite(value):
        raise RefusedError(
            "keep_alive is no length of time; seconds, or one such as 5m or 1h30m, are right", param="keep_alive"
        )
    return float(value)


def options_of(given: dict[str, Any] | None) -> Options:
    """The options of a body. Raises RefusedError, which names the one at fault."""
    return convert({key: value for key, value in (given or {}).items() if value is not None}, Options, "options")

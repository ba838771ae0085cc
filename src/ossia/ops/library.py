"""The native library as ctypes sees it: found, checked and typed once.

Source: native/include/ossia.h, which says what every function and field means.
"""

import ctypes
import functools
import os
import sys
from ctypes import POINTER, Structure, addressof, c_char, c_char_p, c_float, c_int32, c_int64, c_uint8, c_void_p
from pathlib import Path
from typing import Any

from ossia.errors import BackendError

__all__ = [
    "BAD_INDEX",
    "BF16",
    "F32",
    "INT8",
    "MXFP4",
    "OK",
    "SCREEN",
    "Cache",
    "Draw",
    "LowRank",
    "Rows",
    "Step",
    "Weight",
    "address",
    "load",
    "reason",
]

ABI_VERSION = 7

F32, BF16, MXFP4, INT8 = range(4)
SCREEN = -1
"""No dtype of the library: a copy that only screens is computed with by `ossia_int4_screen` alone."""

OK, BAD_ARGUMENT, BAD_INDEX, OUT_OF_MEMORY, UNSUPPORTED = range(5)

_REASONS = {
    BAD_ARGUMENT: "a size or a type that cannot be",
    BAD_INDEX: "an index outside its range",
    OUT_OF_MEMORY: "not enough memory for intermediate results",
    UNSUPPORTED: "an instruction set that this processor lacks",
}

_NAMES = {"darwin": "libossia.dylib", "win32": "ossia.dll"}


class Weight(Structure):
    """`ossia_weight`: one matrix or a stack of them, as stored."""

    _fields_ = (
        ("values", c_void_p),
        ("scales", c_void_p),
        ("bias", c_void_p),
        ("experts", c_int64),
        ("rows", c_int64),
        ("columns", c_int64),
        ("dtype", c_int32),
    )


class LowRank(Structure):
    """`ossia_low_rank`: the low-rank terms beside one weight."""

    _fields_ = (
        ("a", c_void_p),
        ("b", c_void_p),
        ("scale", c_void_p),
        ("adapters", c_int64),
        ("width", c_int64),
    )


class Cache(Structure):
    """`ossia_cache`: the keys and values of one layer."""

    _fields_ = (
        ("data", c_void_p),
        ("pages", c_int64),
        ("page_size", c_int64),
        ("heads", c_int64),
        ("width", c_int64),
        ("dtype", c_int32),
    )


class Rows(Structure):
    """`ossia_rows`: bytes that are to be looked at."""

    _fields_ = (
        ("data", c_void_p),
        ("rows", c_int64),
        ("bytes", c_int64),
    )


class Step(Structure):
    """`ossia_step`: the tokens of a step and their pages."""

    _fields_ = (
        ("positions", c_void_p),
        ("starts", c_void_p),
        ("slots", c_void_p),
        ("table", c_void_p),
        ("tokens", c_int64),
        ("requests", c_int64),
        ("pages_per_request", c_int64),
    )


class Draw(Structure):
    """`ossia_draw`: what is wanted of each row of logits."""

    _fields_ = (
        ("temperature", c_void_p),
        ("top_k", c_void_p),
        ("top_p", c_void_p),
        ("min_p", c_void_p),
        ("seed", c_void_p),
        ("position", c_void_p),
        ("bias_starts", c_void_p),
        ("bias_tokens", c_void_p),
        ("bias_values", c_void_p),
        ("mask", c_void_p),
        ("mask_words", c_int64),
        ("top_logprobs", c_int64),
        ("logprobs", c_int32),
    )


# Pointers are passed as plain addresses, which ctypes converts quickest.
_P, _I, _L, _F = c_void_p, c_int32, c_int64, c_float
_ARGUMENTS = {
    "ossia_create": (_I, c_char_p, POINTER(c_void_p)),
    "ossia_embed": (_P, _P, _P, _L, _P),
    "ossia_linear": (_P, _P, _L, _P, _P, _P, _I, _P),
    "ossia_linear_rows": (_P, _P, _L, _P, _P, _I, _P),
    "ossia_experts": (_P, _P, _L, _P, _P, _L, _P, _P, _P, _P, _P, _F, _I, _P),
    "ossia_attend": (_P, _P, _P, _P, _P, _L, _P, _P, _L, _P),
    "ossia_rms_norm": (_P, _P, _P, _L, _L, _F, _P),
    "ossia_rope": (_P, _P, _P, _P, _L, _L, _L, _P),
    "ossia_choose": (_P, _P, _L, _L, _L, _P, _P),
    "ossia_int8_round": (_P, _P, _P),
    "ossia_int8_norms": (_P, _P, _P),
    "ossia_int4_round": (_P, _P, _P),
    "ossia_int4_screen": (_P, _P, _L, _P, _P, _P, _P),
    "ossia_sample": (_P, _P, _L, _L, _P, _P, _P, _P, _P),
    "ossia_screen": (_P, _P, _L, _L, _P, _P, _L, _P, _P),
    "ossia_read_bandwidth": (_P, _P, _L, _P),
    "ossia_sum_rows": (_P, _P, _L, _P),
    "ossia_find_byte": (_P, _P, _L, c_uint8, _P),
    "ossia_threads": (_P,),
}
_OTHER_RESULTS = {
    "ossia_destroy": ((_P,), None),
    "ossia_isa": ((_P,), c_char_p),
    "ossia_int8_bytes": ((_L, _L), _L),
    "ossia_int4_bytes": ((_L, _L), _L),
    "ossia_page_bytes": ((_P,), _L),
    "ossia_expert_rounding": ((_P, _I, _P, _P), None),
    "ossia_most_whole_tokens": ((_P, _I), _L),
    "ossia_will_need": ((_P, _L, _I), None),
}


def load() -> ctypes.CDLL:
    """The library beside the package, or the one that the environment variable OSSIA_LIBRARY names.

    Raises BackendError if it is missing, cannot be loaded, or was built for another version of this package.
    """
    return _load(_path())


def edition() -> str:
    """What tells the library that was loaded from another one: its size and when it was built."""
    load()
    return _built(_path())


@functools.cache
def _built(path: Path) -> str:
    """Of the file as it was when it was first asked for, which is when it is loaded."""
    found = path.stat()
    return f"{ABI_VERSION} {found.st_size} {found.st_mtime_ns}"


def _path() -> Path:
    named = os.environ.get("OSSIA_LIBRARY")
    return Path(named) if named else Path(__file__).parents[1] / _NAMES.get(sys.platform, "libossia.so")


@functools.cache
def _load(path: Path) -> ctypes.CDLL:
    remedy = f"{_remedy()}; the backend `reference` works without it, slowly"
    if not path.exists():
        raise BackendError(f"the native library is not there: {path} does not exist; {remedy}")
    try:
        _built(path)
        library = ctypes.CDLL(str(path))
        version = library.ossia_abi_version()
    except (OSError, AttributeError) as error:
        raise BackendError(f"{path} is not the native library: {error}; {remedy}") from error
    if version != ABI_VERSION:
        raise BackendError(f"{path} has interface version {version}, this package needs {ABI_VERSION}; {remedy}")
    for name, arguments in _ARGUMENTS.items():
        getattr(library, name).argtypes = arguments
    for name, (arguments, result) in _OTHER_RESULTS.items():
        getattr(library, name).argtypes, getattr(library, name).restype = arguments, result
    return library


def _remedy() -> str:
    """How to get the library: in a clone it is built, in an installed package it was."""
    if (Path(__file__).parents[3] / "CMakeLists.txt").exists():
        return "`make develop` builds it"
    return "`pip install --force-reinstall ossia` brings it"


def reason(status: int) -> str:
    """A status of the library in words."""
    return _REASONS.get(status, f"status {status}")


def address(array: Any) -> int:
    """Where the data of a contiguous numpy array begin.

    A buffer costs a fifth of `array.ctypes.data`, which a step would read a thousand times; it is refused for arrays
    that are empty or read-only.
    """
    try:
        return addressof(c_char.from_buffer(array))
    except (TypeError, ValueError):
        return array.ctypes.data

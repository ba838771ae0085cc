"""Finding and checking the native library."""

import _ctypes
import re
from pathlib import Path

import numpy as np
import pytest

from ossia.errors import BackendError
from ossia.int4 import int4_bytes
from ossia.int8 import int8_bytes
from ossia.ops import library

HEADER = Path(__file__).parents[2] / "native" / "include" / "ossia.h"

STRUCTS = {
    "ossia_weight": library.Weight,
    "ossia_low_rank": library.LowRank,
    "ossia_cache": library.Cache,
    "ossia_step": library.Step,
    "ossia_draw": library.Draw,
}


def declarations() -> str:
    """The header without comments."""
    return re.sub(r"//[^\n]*", "", HEADER.read_text("utf-8"))


@pytest.mark.parametrize("name", STRUCTS)
def test_structs_are_those_of_the_header(name: str):
    body = re.search(r"typedef struct \{([^}]*)\} " + name + ";", declarations())
    assert body is not None
    names = [field.split()[-1].lstrip("*") for field in body[1].split(";") if field.strip()]
    sizes = {"*": "c_void_p", "int64_t": "c_long", "int32_t": "c_int"}
    kinds = [
        next(kind for sign, kind in sizes.items() if sign in field) for field in body[1].split(";") if field.strip()
    ]
    assert [field for field, _ in STRUCTS[name]._fields_] == names
    assert [kind.__name__ for _, kind in STRUCTS[name]._fields_] == kinds


def test_functions_take_as_many_arguments_as_in_the_header():
    found = dict(re.findall(r"OSSIA_API [\w ]+\*? ?\*?(ossia_\w+)\(([^)]*)\)", declarations()))
    loaded = library.load()
    for name, arguments in found.items():
        declared = 0 if arguments == "void" else arguments.count(",") + 1
        typed = getattr(loaded, name).argtypes
        assert len(typed or ()) == declared, name


@pytest.mark.parametrize("shape", [(1, 1), (16, 256), (17, 257), (201_088, 2880), (0, 5), (5, 0)])
def test_matrices_in_8_and_4_bits_have_the_bytes_that_the_package_counts(shape: tuple[int, int]):
    assert library.load().ossia_int8_bytes(*shape) == int8_bytes(*shape)
    assert library.load().ossia_int4_bytes(*shape) == int4_bytes(*shape)


def test_the_version_is_that_of_the_header():
    assert f"#define OSSIA_ABI_VERSION {library.ABI_VERSION}\n" in HEADER.read_text("utf-8")


def test_whoever_has_no_clone_is_told_of_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    installed = tmp_path / "lib" / "python3" / "site-packages" / "ossia" / "ops" / "library.py"
    monkeypatch.setattr(library, "__file__", str(installed))
    monkeypatch.setenv("OSSIA_LIBRARY", str(tmp_path / "other.so"))
    with pytest.raises(BackendError, match="does not exist; `pip install --force-reinstall ossia` brings it; the back"):
        library.load()


def test_a_missing_library_says_how_to_build_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("OSSIA_LIBRARY", str(tmp_path / "libossia.so"))
    with pytest.raises(BackendError, match=r"libossia\.so does not exist; `make develop` builds it"):
        library.load()


def test_a_damaged_library_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    damaged = tmp_path / "libossia.so"
    damaged.write_bytes(b"\x7fELF" + bytes(100))
    monkeypatch.setenv("OSSIA_LIBRARY", str(damaged))
    with pytest.raises(BackendError, match=r"is not the native library: .*`make develop` builds it"):
        library.load()


def test_another_library_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OSSIA_LIBRARY", _ctypes.__file__)
    with pytest.raises(BackendError, match="is not the native library"):
        library.load()


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(library, "ABI_VERSION", 999)
    library._load.cache_clear()
    try:
        with pytest.raises(BackendError, match=r"has interface version \d+, this package needs 999; `make develop`"):
            library.load()
    finally:
        library._load.cache_clear()


def test_addresses_of_any_array():
    writable = np.zeros(3, np.float32)
    frozen = np.zeros(3, np.float32)
    frozen.flags.writeable = False
    for array in (writable, frozen, np.zeros(0, np.float32)):
        assert library.address(array) == array.ctypes.data


@pytest.mark.parametrize("status", range(1, 5))
def test_every_status_has_words(status: int):
    assert "status" not in library.reason(status)
    assert library.reason(77) == "status 77"

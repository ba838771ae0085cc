"""Backends by name."""

import sys

import pytest

from ossia.errors import BackendError
from ossia.ops import Precision, make_ops


@pytest.mark.parametrize(
    ("backend", "precision", "known"),
    [("cuda", "exact", "native, reference, torch are"), ("native", "int4", "exact, fast, turbo are")],
)
def test_unknown_names_are_told_the_known_ones(backend: str, precision: str, known: str):
    with pytest.raises(BackendError, match=known):
        make_ops(backend, precision)


def test_an_unknown_cache_is_told_the_known_ones():
    with pytest.raises(BackendError, match=r"no cache is kept as 'fp8'; f32, bf16, int8 are right"):
        make_ops("reference", kv_cache_dtype="fp8")


@pytest.mark.parametrize("backend", ["reference", "native", pytest.param("torch", marks=pytest.mark.torch)])
def test_the_cache_follows_from_the_precision_unless_it_is_named(backend: str):
    assert [make_ops(backend, precision).kv_cache_dtype for precision in Precision] == ["f32", "bf16", "bf16"]
    assert make_ops(backend, "exact", kv_cache_dtype="int8").kv_cache_dtype == "int8"


@pytest.mark.parametrize("backend", ["reference", "native", pytest.param("torch", marks=pytest.mark.torch)])
def test_a_cache_takes_the_memory_that_the_backend_says(backend: str):
    for dtype in ("f32", "bf16", "int8"):
        ops = make_ops(backend, kv_cache_dtype=dtype)
        cache = ops.new_cache(64, 16, 2, 32)
        found = cache.pages.nbytes if backend == "native" else cache.nbytes
        assert found == 64 * 2 * 2 * ops.stored_dtype.head_bytes(32)


def test_torch_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "ossia.ops.torch_ops", raising=False)
    with pytest.raises(BackendError, match=r"torch.*ossia\[train\]"):
        make_ops("torch")

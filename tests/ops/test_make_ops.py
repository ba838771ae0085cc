"""Backends by name."""

import sys

import pytest

from ossia.errors import BackendError
from ossia.ops import make_ops


@pytest.mark.parametrize(("backend", "precision"), [("cuda", "exact"), ("native", "turbo")])
def test_unknown_names_are_told_the_known_ones(backend: str, precision: str):
    with pytest.raises(BackendError, match=r"reference|exact"):
        make_ops(backend, precision)


def test_torch_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "ossia.ops.torch_ops", raising=False)
    with pytest.raises(BackendError, match=r"torch.*ossia\[train\]"):
        make_ops("torch")

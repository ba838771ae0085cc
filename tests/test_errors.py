"""The exception tree is the one that its docstring draws."""

import inspect
import re

import pytest

from ossia import errors
from ossia.errors import (
    BackendError,
    CancelledError,
    CapacityError,
    DownloadError,
    OssiaError,
    OverloadedError,
    UnavailableError,
)

CLASSES = {name: thing for name, thing in vars(errors).items() if inspect.isclass(thing)}


def drawn() -> dict[str, str]:
    """Each error's parent by its name, read off the drawing."""
    at_depth: dict[int, str] = {}
    found = {}
    for indent, name in re.findall(r"^    ([ |+-]*)(\w+Error)(?: {2,}.+)?$", errors.__doc__ or "", re.MULTILINE):
        at_depth[len(indent)] = name
        found[name] = next(
            (at_depth[depth] for depth in sorted(at_depth, reverse=True) if depth < len(indent)), "Exception"
        )
    return found


def test_every_error_is_drawn_under_its_parent():
    assert drawn() == {name: error.__bases__[0].__name__ for name, error in CLASSES.items()}


def test_all_of_them_are_public():
    assert sorted(errors.__all__) == errors.__all__ == sorted(CLASSES)


@pytest.mark.parametrize("error", CLASSES.values())
def test_callers_fault_is_a_value_error(error: type[OssiaError]):
    ours = error in (
        OssiaError,
        BackendError,
        CancelledError,
        CapacityError,
        DownloadError,
        OverloadedError,
        UnavailableError,
    )
    assert issubclass(error, ValueError) is not ours

"""Imports point down: level by level, never upward, never sideways, never in a circle.

Imports inside functions and under TYPE_CHECKING count like all others: they are dependencies of whoever reads the code.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

LEVELS: list[set[str]] = [
    {"errors", "files", "json_words"},
    {"config", "int8", "mxfp4", "harmony"},
    {"int4"},
    {"checkpoint", "ops", "grammar"},
    {"model", "copies"},
    {"engine"},
    {"tools", "train", "loading"},
    {"assistant", "beginnings"},
    {"pipeline", "server", "evals"},
    {"cli"},
    {"__main__"},
]
"""The units of the package, lowest first. A unit is a module or a package directly under `ossia`."""

LEVEL = {unit: level for level, units in enumerate(LEVELS) for unit in units}

# They look modules up by a name that was computed: the public names, the verbs, what only some verbs need.
DYNAMIC = {"ossia", "ossia.cli", "ossia.checkpoint"}


def modules(source: Path) -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    names = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imported(module: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of our own that this one names in any import statement."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "ossia")
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            if origin.split(".")[0] == "ossia":
                names = (f"{origin}.{alias.name}" for alias in node.names)
                yield from {name if name in known else origin for name in names}


def graph(source: Path) -> dict[str, set[str]]:
    known = modules(source)
    return {module: set(imported(module, path, known)) - {module} for module, path in known.items()}


def violations(source: Path) -> list[str]:
    """Every import that does not point to a lower level, in words."""
    found = []
    for module, targets in graph(source).items():
        for target in sorted(targets):
            unit, other = _unit(module), _unit(target)
            if unit in ("", other):  # the public names come from everywhere; a package may import itself
                continue
            if other == "":
                if unit not in ("cli", "__main__"):
                    found.append(f"{module} imports {target}: only the command line may use the public surface")
            elif LEVEL[other] >= LEVEL[unit]:
                found.append(f"{module} (level {LEVEL[unit]}) imports {target} (level {LEVEL[other]})")
    return found


def _unit(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def _package(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / "ossia" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_every_unit_has_a_level():
    assert {_unit(module) for module in modules(SOURCE)} - {""} <= LEVEL.keys()


def test_imports_point_down():
    assert violations(SOURCE) == []


def test_no_circles():
    order = list(TopologicalSorter(graph(SOURCE)).static_order())
    assert order.index("ossia.errors") < order.index("ossia.config")


def test_computed_imports_only_where_they_are_meant():
    found = {
        module
        for module, path in modules(SOURCE).items()
        if any(word in path.read_text("utf-8") for word in ("import_module(", "__import__("))
    }
    assert found <= DYNAMIC


@pytest.mark.parametrize(
    "text",
    [
        "from ossia.engine import Engine",
        "def f():\n    import ossia.engine",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ossia.engine import Engine",
        "from ..engine import Engine",
        "from .. import engine",
        "from ossia.ops import Batch",
        "from ossia import __version__",
    ],
)
def test_an_upward_import_is_found(tmp_path: Path, text: str):
    files = {"__init__.py": "", "engine/__init__.py": "", "ops/__init__.py": "", "grammar/masks.py": text}
    assert len(violations(_package(tmp_path, files))) == 1


def test_a_downward_import_is_not(tmp_path: Path):
    files = {"__init__.py": "", "errors.py": "", "ops/batch.py": "from ossia.errors import X\nfrom . import other"}
    assert violations(_package(tmp_path, files | {"ops/other.py": "", "ops/__init__.py": ""})) == []


def test_a_circle_is_found(tmp_path: Path):
    source = _package(tmp_path, {"a.py": "def f():\n    import ossia.b", "b.py": "from ossia import a"})
    with pytest.raises(CycleError):
        list(TopologicalSorter(graph(source)).static_order())

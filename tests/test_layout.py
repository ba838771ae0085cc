"""The grain of the code: sizes, names, and tests that mirror the package."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "ossia"
FOLDERS = ("bench", "examples", "native", "recipes", "src", "tests")

LINES_OF_A_FILE = 500
LINES_OF_A_FUNCTION = 60
VAGUE = {"base", "bases", "common", "core", "helper", "helpers", "misc", "shared", "util", "utils"}

# Modules whose test lies elsewhere; this list only shrinks.
TESTED_ELSEWHERE = {
    "__main__.py": "test_cli.py",
}


def files(*suffixes: str) -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in suffixes)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def mirror(module: Path) -> Path:
    """Where the test of a module of the package belongs."""
    inside = module.relative_to(SOURCE)
    return (
        ROOT / "tests" / TESTED_ELSEWHERE.get(inside.as_posix(), inside.parent / f"test_{inside.stem.lstrip('_')}.py")
    )


def test_a_file_fits_the_eye():
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in files(".py", ".cc", ".h")
    }
    assert {path: size for path, size in sizes.items() if size >= LINES_OF_A_FILE} == {}


def test_a_function_fits_the_screen():
    long = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}: {length(function)} lines"
        for path in files(".py")
        for function in functions(path)
        if length(function) > LINES_OF_A_FUNCTION
    ]
    assert long == []


def test_names_say_what_is_inside():
    assert [path for path in files(".py", ".cc", ".h") if path.stem.lower() in VAGUE] == []


def test_no_class_is_a_manager():
    named = re.compile(r"^\s*(?:class|struct) \w*(?:Manager|Handler|Helper|Utils)\b", re.MULTILINE)
    assert [path for path in files(".py", ".cc", ".h") if named.search(path.read_text("utf-8"))] == []


def test_every_module_has_its_test():
    modules = [path for path in SOURCE.rglob("*.py") if path.name != "__init__.py"]
    assert [str(mirror(path).relative_to(ROOT)) for path in modules if not mirror(path).exists()] == []


def test_the_list_of_exceptions_only_shrinks():
    assert [module for module in TESTED_ELSEWHERE if not (SOURCE / module).exists()] == []


def test_nothing_is_left_for_later():
    # Spelt apart, so that this file does not find itself.
    words = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error", r"mark\.x" + "fail"]))
    found = [path for path in files(".py", ".cc", ".h") if words.search(path.read_text("utf-8"))]
    assert [str(path.relative_to(ROOT)) for path in found] == []

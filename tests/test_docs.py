"""The documents keep up with the code: links, paths, import levels, names, the alphabet of shapes."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.test_imports import LEVELS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("recipes/**/*.md")])


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def alphabet() -> dict[str, str]:
    """Letter to meaning, from the glossary's table."""
    section = read("docs/glossary.md").partition("## The alphabet of shapes")[2]
    return dict(re.findall(r"^\| `([A-Z])` \| (.+?) \|$", section, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_paths_that_are_named_exist(page: str):
    named = re.findall(r"`((?:src|native|tests|docs|recipes|bench|examples|\.ci|\.github)/[\w./-]*)`", read(page))
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_that_are_named_exist(page: str):
    targets = set(re.findall(r"^([a-z0-9-]+):", read("Makefile"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`|\$ )\s*make ([a-z0-9-]+)", read(page), re.MULTILINE)) <= targets


def test_the_map_names_every_unit():
    units = {
        path.stem for path in (ROOT / "src/ossia").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    drawn = set(re.findall(r"^  (\w+)(?:\.py|/)", read("docs/architecture.md"), re.MULTILINE))
    assert units - {"__init__", "__main__"} - drawn == set()


def test_the_drawn_levels_are_the_tested_ones():
    rows = re.findall(r"^(\d)  (\S.*)$", read("docs/architecture.md"), re.MULTILINE)
    drawn = {int(level): set(units.split(", ")) for level, units in rows}
    assert drawn == dict(enumerate(LEVELS[:-1]))


def test_shapes_use_the_alphabet():
    letters = set(alphabet())
    strange = set()
    for path in (ROOT / "src/ossia").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                for shape in re.findall(r"\[([A-Z](?:, ?(?:[A-Z]|\d+))+)\]", ast.get_docstring(node) or ""):
                    strange |= {(path.name, letter) for letter in re.findall("[A-Z]", shape) if letter not in letters}
    assert strange == set()


def test_one_concept_has_one_row():
    terms = re.findall(r"^\| \*([^*]+)\* \|", read("docs/glossary.md"), re.MULTILINE)
    assert len(terms) > 20
    assert len(terms) == len(set(terms))


def test_the_log_is_dated_and_newest_first():
    dates = re.findall(r"^## (\d{4}-\d\d-\d\d)", read("docs/log.md"), re.MULTILINE)
    assert dates
    assert dates == sorted(dates, reverse=True)


def test_contributing_is_one_page():
    assert len(read("CONTRIBUTING.md").splitlines()) <= 80


def test_default_dependencies_are_few():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    names = {re.split(r"[<>=\[]", requirement)[0] for requirement in project["dependencies"]}
    assert names == {
        "jsonschema", "llguidance", "ml_dtypes", "msgspec", "numpy", "prompt_toolkit", "regex", "starlette", "tiktoken",
        "uvicorn",
    }  # fmt: skip


def test_the_licences_are_there():
    assert read("LICENSE").lstrip().startswith("Apache License")
    assert "MIT" in read("NOTICE")

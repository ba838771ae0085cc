"""The public names, exactly, and what asking for them costs."""

import subprocess
import sys

import pytest

import ossia

PUBLIC = ["ModelConfig", "OssiaError", "__version__", "errors", "load"]

HEAVY = "torch transformers triton starlette uvicorn msgspec rich prompt_toolkit tiktoken llguidance numpy"


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def seconds_to_import(name: str) -> float:
    """The least of five fresh processes: what importing costs when nothing else runs."""
    code = f"import time; start = time.perf_counter(); import {name}; print(time.perf_counter() - start)"
    return min(float(run(code)) for _ in range(5))


def test_public_names_are_exactly_these():
    assert sorted(ossia.__all__) == sorted(PUBLIC)
    assert dir(ossia) == ossia.__all__


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there(name: str):
    assert run(f"import ossia; print(ossia.{name} is not None)") == "True\n"


def test_a_name_that_is_not_public_is_refused_with_those_that_are():
    with pytest.raises(AttributeError, match="no attribute 'Modelconfig'; it has ModelConfig, "):
        ossia.Modelconfig  # noqa: B018  # the lookup is the test


def test_star_import_gives_the_public_names():
    names = run("from ossia import *; print(*sorted(name for name in dir() if name in __import__('ossia').__all__))")
    assert names.split() == sorted(PUBLIC)


def test_the_package_lies_in_one_folder():
    # An editable install that left files elsewhere too would make two, and data would be looked for in the wrong one.
    assert len(ossia.__path__) == 1


def test_import_brings_nothing_heavy():
    loaded = run("import sys, ossia; ossia.ModelConfig; print(*{name.split('.')[0] for name in sys.modules})")
    assert set(loaded.split()) & set(HEAVY.split()) == set()


def test_a_short_answer_imports_neither_http_nor_what_grammars_and_long_texts_need():
    code = "import sys; from ossia.cli import main; main(['run', 'nano', 'Hi', '-q']); print(*sys.modules)"
    assert set(run(code).split()) & {"http", "ssl", "llguidance", "tiktoken", "jsonschema"} == set()


def test_import_is_quicker_than_numpy_alone():
    # numpy takes 60 to 100 ms on a machine of 2020, and everything that computes needs it: Ossia's own names may not
    # add as much again, and stay under 150 ms wherever numpy does. Both are measured here, whatever the machine's load.
    assert seconds_to_import("ossia") < seconds_to_import("numpy")

"""The page of clients is what the tests say."""

import tomllib
from pathlib import Path

from tests.clients.page import PAGE, _modules, written


def test_the_page_is_made_from_the_tests():
    assert PAGE.read_text("utf-8") == written(), "`python -m tests.clients.page` makes it again"


def test_the_versions_are_those_that_are_pinned():
    pins = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pinned = dict(pin.split("==") for pin in [*pins["dev"], *pins["clients"]] if "==" in pin)
    for module in _modules():
        client = module.CLIENT
        if client.name != "Codex CLI":
            assert pinned[client.name] == client.version, client.name


def test_the_makefile_installs_the_version_of_codex_that_is_named():
    version = next(module.CLIENT.version for module in _modules() if module.CLIENT.name == "Codex CLI")
    assert f"@openai/codex@{version}" in (Path(__file__).parents[2] / "Makefile").read_text()

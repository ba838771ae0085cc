"""The page of clients is what the tests say."""

import tomllib
from pathlib import Path

from tests.clients.page import PAGE, _modules, written

ROOT = Path(__file__).parents[2]


def test_the_page_is_made_from_the_tests():
    assert PAGE.read_text("utf-8") == written(), "`python -m tests.clients.page` makes it again"


def test_the_versions_are_those_that_are_installed():
    dev = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["dev"]
    makefile = (ROOT / "Makefile").read_text()
    for module in _modules():
        pin = f"{module.CLIENT.name}=={module.CLIENT.version}"
        codex = f"@openai/codex@{module.CLIENT.version}"
        assert pin in dev or pin in makefile or (module.CLIENT.name == "Codex CLI" and codex in makefile), pin

"""`docs/clients.md`, from the tests: each client, its version, what was tried, and how it is configured.

python -m tests.clients.page
"""

import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import tests.clients

__all__ = ["PAGE", "Client", "written"]

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"

HEAD = """# Clients

What talks to `ossia serve`, as the tests in `tests/clients/` try it over a real socket. This page is made from them
(`python -m tests.clients.page`) and a test compares it. `ossia serve` listens at `http://127.0.0.1:8000`; with
`--ollama` also at port 11434, where Ollama's clients look. Without `--api-keys` a client may send any key.

`make test-clients` tries them all, Codex and litellm among them, which are large. `tests/clients/test_compatibility.py`
runs the compatibility test that OpenAI keeps beside gpt-oss, for whoever has a checkout of it.
"""


@dataclass(frozen=True)
class Client:
    """A client: its name, the version that is tried, and the lines that a user needs."""

    name: str
    version: str
    language: str
    configuration: str


def written() -> str:
    """The page."""
    return "\n".join([HEAD, *(_section(module) for module in _modules())]).rstrip() + "\n"


def _modules() -> list[ModuleType]:
    names = sorted(each.name for each in pkgutil.iter_modules(tests.clients.__path__) if each.name.startswith("test_"))
    modules = [importlib.import_module(f"tests.clients.{name}") for name in names]
    return [module for module in modules if hasattr(module, "CLIENT")]


def _section(module: ModuleType) -> str:
    client: Client = module.CLIENT
    tried = [
        inspect.getdoc(test) or name.removeprefix("test_").replace("_", " ")
        for name, test in vars(module).items()
        if name.startswith("test_") and inspect.getmodule(test) is module
    ]
    lines = [f"## {client.name}", "", f"Version {client.version}.", "", f"```{client.language}"]
    lines += [client.configuration.strip(), "```", "", "Tried:", ""]
    lines += [f"- {what.splitlines()[0].removesuffix('.')}" for what in tried]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(written(), "utf-8")

"""Ossia: a home for OpenAI's open-weight models gpt-oss-20b and gpt-oss-120b.

The names below are the whole public surface. Each is imported when it is first asked for, so that `import ossia` costs
next to nothing and brings neither torch nor a web framework.
"""

import importlib

# As `typing` has it, which takes more time to import than all of this.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from ossia import errors
    from ossia.config import ModelConfig
    from ossia.errors import OssiaError
    from ossia.pipeline import load

__version__ = "0.1.0"

__all__ = ["ModelConfig", "OssiaError", "__version__", "errors", "load"]

_HOMES = {"ModelConfig": "ossia.config", "OssiaError": "ossia.errors", "load": "ossia.pipeline"}


def __getattr__(name: str) -> object:
    if name == "errors":
        return importlib.import_module("ossia.errors")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ossia' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__

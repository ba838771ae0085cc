"""`ossia stop`: a running server unloads a model."""

import argparse
import sys

from ossia.cli import _asking

HELP = "Make a running server unload a model."
EXAMPLE = """ossia stop gpt-oss:20b

It is unloaded when the requests that use it are done, and loaded again when one names it. The model that the
server was started with stays, and the exit status is 1 then.
A server with API keys wants one of them in the variable OSSIA_API_KEY."""


STAYS = 1
"""Exit status when the model is not unloaded, now or later."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("model", metavar="MODEL", help="a name that `ossia ps` shows")
    _asking.add_server(parser)


def run(options: argparse.Namespace) -> int:
    """Ask, and say what came of it."""
    from ossia.cli._display import one_line

    wish = {"model": options.model, "keep_alive": 0, "stream": False}
    answer = _asking.ask(options.url, "POST", "/api/generate", wish)
    told = answer.get("ossia")
    kept = told.get("kept") if isinstance(told, dict) else None
    print(one_line(f"{options.model}: {kept}" if kept else f"{options.model} is unloaded"), file=sys.stderr)
    return STAYS if answer.get("done_reason") == "load" else 0

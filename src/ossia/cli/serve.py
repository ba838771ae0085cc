"""`ossia serve`: the HTTP server."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossia import __version__
from ossia.cli import _options
from ossia.cli._parser import Parser

if TYPE_CHECKING:
    from ossia.server.models import Served
    from ossia.server.service import Service

HELP = "Serve a model to clients of OpenAI, Ollama and Anthropic."
EXAMPLE = """ossia serve
  ossia serve gpt-oss:20b --ollama
  ossia serve gpt-oss:20b my-models/mine my-models/other
  ossia serve gpt-oss:20b --host 0.0.0.0 --api-keys keys.txt

Every option of the server can also stand in a TOML file (--config), and in the environment as
OSSIA_SERVER_NAME; API keys also in OSSIA_API_KEYS, as NAME:KEY between commas. Clients of Ollama look at
port 11434, which --ollama adds. Ctrl-c lets running requests finish; a second one ends them, which they are told."""

OLLAMA_PORT = 11434
"""Source: Ollama's documentation, "How can I expose Ollama on my network?"."""


def arguments(parser: Parser) -> None:
    """Add the options of this verb."""
    parser.words = "models"
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="a path, a hub name such as openai/gpt-oss-20b, or nano (default); the first is loaded at once and stays, "
        "others when a request names them",
    )
    _add_listening(parser)
    _add_admission(parser)
    _options.add_running(parser)
    parser.add_argument(
        "--name", type=_name, metavar="NAME", help="what requests call the first model (default: as it was found)"
    )
    parser.add_argument(
        "--max-requests", type=_options.at_least(1, 512), metavar="N", help="requests computed together (64)"
    )
    parser.add_argument(
        "--keep-alive", type=_seconds, metavar="S", help="seconds that other models stay loaded, -1: for ever (300)"
    )


def _add_listening(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where it listens")
    group.add_argument("--host", metavar="ADDRESS", help="default: 127.0.0.1, for this machine alone")
    group.add_argument("--port", type=_options.at_least(0, 65535), metavar="N", help="default: 8000; 0: any free one")
    group.add_argument(
        "--ollama", dest="ollama_port", action="store_const", const=OLLAMA_PORT, help=f"also at port {OLLAMA_PORT}"
    )
    group.add_argument(
        "--ollama-port", type=_options.at_least(0, 65535), metavar="N", help="also at this port, instead of that one"
    )
    group.add_argument("--store", metavar="FILE", help="where responses are stored (default: in your own state folder)")
    group.add_argument(
        "--no-store", dest="store", action="store_const", const=":memory:", help="keep responses in memory alone"
    )
    group.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML, in its table [server]")
    group.add_argument("--log", choices=("text", "json"), help="the form of the journal on stderr (default: text)")
    group.add_argument("--log-prompts", action="store_true", default=None, help="the journal may quote requests")
    group.add_argument("--quiet", "-q", action="store_true", help="no journal but for errors")


def _add_admission(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who may use it")
    group.add_argument("--api-keys", metavar="FILE", help="keys, one NAME:KEY a line, readable by its owner only")
    group.add_argument("--no-auth", action="store_true", default=None, help="let others on the network in without one")
    group.add_argument(
        "--allow-host", dest="hosts", action="append", metavar="NAME", help="a name that requests may come for, or *"
    )
    group.add_argument(
        "--allow-origin", dest="origins", action="append", metavar="URL", help="a page that browsers may let in, or *"
    )


def run(options: argparse.Namespace) -> int:
    """Serve until a signal says to end."""
    import asyncio
    import logging

    from ossia.cli._pulling import located
    from ossia.server import journal
    from ossia.server.listening import bind
    from ossia.server.models import KEEP_ALIVE
    from ossia.server.remote import Launch
    from ossia.server.serving import make_service
    from ossia.server.settings import ServerConfig

    config = ServerConfig.gather(_given(options), os.environ, options.config)
    first, *others = options.models or ["nano"]
    place = located(first)
    launch = Launch(
        model=place,
        context=options.context,
        settings={} if options.max_requests is None else {"max_requests": options.max_requests},
        **_options.computing(options),
    )
    name = options.name or (None if place == first else first)
    for other in others:
        located(other)
    keep_alive = KEEP_ALIVE if options.keep_alive is None else options.keep_alive
    service = make_service(config, launch, name=name, others=others, keep_alive=keep_alive)
    journal.begin(config.log, config.log_prompts, level=logging.ERROR if options.quiet else logging.INFO)
    sockets = bind(config.host, config.port)
    if config.ollama_port is not None:
        sockets += bind(config.host, config.ollama_port)
    asyncio.run(_serve(service, sockets))
    return 0


async def _serve(service: "Service", sockets: list[Any]) -> None:
    from ossia.cli._display import Progress
    from ossia.server.listening import url
    from ossia.server.serving import serve

    ports = list(dict.fromkeys(each.getsockname()[1] for each in sockets))
    urls = [url(service.config.host, port) for port in ports]
    progress = Progress(f"loading {service.models.default}")
    progress.begin()

    def ready(served: "Served") -> None:
        progress.__exit__()
        keys = bool(len(service.config.keys))
        print(greeting(served.name, served.settings, served.tokens.context, urls, keys), flush=True)

    await serve(service, sockets, version=__version__, ready=ready, progress=lambda done: progress.show(done, 1.0))


def greeting(name: str, settings: Any, context: int, urls: Sequence[str], keys: bool) -> str:
    """Where it listens, and what to do next: a line each for curl, OpenAI's package and Codex."""
    how = ", ".join([f"{value}" for key, value in settings.items() if key in ("backend", "precision")])
    key = " -H 'Authorization: Bearer YOUR-KEY'" if keys else ""
    question = json.dumps({"model": name, "messages": [{"role": "user", "content": "What is 37 * 48?"}]})
    base = f"{urls[0]}/v1"
    codex = [
        "-c model_provider=ossia",
        "-c model_providers.ossia.name=Ossia",
        f"-c model_providers.ossia.base_url={base}",
        "-c model_providers.ossia.wire_api=responses",
        *(["-c model_providers.ossia.env_key=OSSIA_KEY"] if keys else []),
    ]
    return "\n".join(
        [
            f"Serving {name} ({how}, context {context:,}) at {' and '.join(urls)}",
            f"  curl {base}/chat/completions{key} -H 'Content-Type: application/json' -d '{question}'",
            f'  OpenAI(base_url="{base}", api_key="{"YOUR-KEY" if keys else "none"}")    # from openai import OpenAI',
            f"  codex -m {name} {' '.join(codex)}",
            "Ctrl-c ends it.",
        ]
    )


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The server's own options, under the names of their settings."""
    names = ("host", "port", "ollama_port", "hosts", "origins", "api_keys", "no_auth", "store", "log", "log_prompts")
    return {name: getattr(options, name) for name in names}


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (value >= 0 or value == -1):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, nor -1")
    return float("inf") if value == -1 else value


def _name(text: str) -> str:
    """What requests call a model. Raises argparse's error for nothing at all."""
    if not text.strip():
        raise argparse.ArgumentTypeError("a model's name has at least one character that can be seen")
    return text

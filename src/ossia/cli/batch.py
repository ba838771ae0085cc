"""`ossia batch`: a file of requests, answered without a server."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ossia.cli import _options

if TYPE_CHECKING:
    from ossia.server.batch import Line, Summary
    from ossia.server.service import Service

HELP = "Answer a file of requests."
EXAMPLE = """ossia batch requests.jsonl --out results.jsonl

A line of the file is a request as OpenAI's Batch API has it, for example
  {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions",
   "body": {"model": "nano", "messages": [{"role": "user", "content": "What is 37 * 48?"}]}}
Interrupted, the same command goes on where it was. A request that was changed after it was answered is refused."""

FAILED = 1
"""Exit status when at least one request was answered with an error."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the requests, one JSON object a line")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the results (default: beside FILE, .results.jsonl)")
    parser.add_argument("--model", metavar="MODEL", help="the model to load first (default: the first request's)")
    parser.add_argument("--at-once", type=_options.at_least(1), default=16, metavar="N", help="requests (default: 16)")
    _options.add_running(parser)


def run(options: argparse.Namespace) -> int:
    """Answer what has no result yet."""
    import asyncio

    from ossia.cli._pulling import located
    from ossia.errors import RequestError
    from ossia.server.batch import matched, read_lines
    from ossia.server.remote import Launch
    from ossia.server.serving import make_service
    from ossia.server.settings import ServerConfig

    lines = read_lines(options.file)
    if not lines:
        raise RequestError(f"{options.file}: no requests; at least one line is right")
    output = options.out or options.file.with_suffix(".results.jsonl")
    matched(lines, output)  # what cannot be is said before a model is loaded
    model = options.model or str(lines[0].body.get("model", "nano"))
    launch = Launch(model=located(model), context=options.context, **_options.computing(options))
    service = make_service(ServerConfig(store=":memory:"), launch, name=model)
    summary = asyncio.run(_answered(service, lines, output, options.at_once))
    said = f"{summary.added} answered, {summary.before} were there before, {summary.failed} of all have an error"
    print(f"{said}: {output}", file=sys.stderr)
    return FAILED if summary.failed else 0


async def _answered(service: "Service", lines: "list[Line]", output: Path, at_once: int) -> "Summary":
    from ossia.cli._display import Progress
    from ossia.server.app import make_app
    from ossia.server.batch import run_batch

    try:
        with Progress(f"loading {service.models.default}") as loading:
            async with service.models.lease(progress=lambda done: loading.show(done, 1.0)):
                pass
        with Progress("answering") as progress:
            return await run_batch(make_app(service), lines, output, at_once=at_once, progress=progress.show)
    finally:
        await service.models.close()

"""A server of the embedded model in a process of its own, that tells on its stdin's asking how its books stand.

    python -m tests.server.load.host STORE

It prints its port, then one line of JSON for each line that it reads; it ends with its stdin.
"""

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any, cast

from ossia.server.listening import bind
from ossia.server.remote import Launch, RemoteEngine
from ossia.server.service import Service
from ossia.server.serving import make_service, serve
from ossia.server.settings import ServerConfig

__all__ = ["books"]


CONTEXT = 1024
PAGES = 400
"""So few that many clients need them all and take them from each other: then memory has no reason to grow."""


async def books(service: Service) -> dict[str, Any]:
    """What is in use: all of it is to be zero, or as before, when nobody asks for anything."""
    (model,) = service.models.listed()
    assert model.served is not None
    engine = cast(RemoteEngine, model.served.tokens)
    await engine.audit()
    status = await engine.status()
    return {
        "server": os.getpid(),
        "engine": engine.pid,
        "users": model.users,
        "running": status.running + status.waiting + status.compiling,
        "used_pages": sum(status.used_pages.values()),
        "tasks": len(asyncio.all_tasks()),
        "files": len([*Path("/proc/self/fd").iterdir()]),
    }


async def main(store: str) -> None:
    config = ServerConfig(store=store, grace_seconds=5.0)
    launch = Launch(model="nano", threads=1, context=CONTEXT, settings={"full_pages": PAGES})
    service = make_service(config, launch)
    sockets = bind("127.0.0.1", 0)
    ready = asyncio.Event()
    serving = asyncio.create_task(serve(service, sockets, version="0", ready=lambda served: ready.set()))
    await asyncio.wait({serving, asyncio.ensure_future(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    say(sockets[0].getsockname()[1])
    while await asyncio.to_thread(sys.stdin.readline):
        try:
            said = await books(service)
        except (AssertionError, ValueError) as error:
            said = {"error": repr(error)}
        say(said)
    serving.cancel()
    await asyncio.wait({serving})


def say(what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main(sys.argv[1]))

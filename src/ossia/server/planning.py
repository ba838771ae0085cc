"""A plan made beside the event loop: what may take seconds, a look into a client's rules, waits for its turn."""

import asyncio

from ossia.server.ask import Ask
from ossia.server.models import Served
from ossia.server.plan import Plan, plan, rules_of
from ossia.server.service import Service

__all__ = ["planned"]


async def planned(ask: Ask, served: Served, service: Service, client: bytes) -> Plan:
    """How to do what is asked. Raises RequestError and its kinds for what cannot be honoured."""
    if ask.grammar and (ask.tools or ask.answer):
        await _checked(ask, served, service, client)
    return await asyncio.to_thread(plan, ask, served, service.recall, client)


async def _checked(ask: Ask, served: Served, service: Service, client: bytes) -> None:
    """See to it that the rules are remembered, so that planning takes little."""
    with ask.placing():
        rules = rules_of(ask, served)
        if rules is not None and not await asyncio.to_thread(served.checks.knows, rules):
            async with service.turns.of(client):
                await asyncio.to_thread(served.checks.of, rules)

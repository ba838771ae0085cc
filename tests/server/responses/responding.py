"""Responses over a scripted engine, and OpenAI's own types as the judges of all that comes back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import msgspec
from openai.types.responses import Response, ResponseItem, ResponseStreamEvent
from pydantic import TypeAdapter
from starlette.testclient import TestClient

from ossia.server.responses import close_shelf, endpoints, shapes
from tests.server.playing import Player
from tests.server.serving import client_for, events_of, service_for

__all__ = ["FINAL", "THOUGHT", "URL", "answer", "called", "judged", "judged_events", "judged_item", "serving", "stream"]

URL = "/v1/responses"

Judged = dict[str, Any]

THOUGHT = "<|channel|>analysis<|message|>"
FINAL = "<|start|>assistant<|channel|>final<|message|>"


def answer(text: str = "Hello!", thought: str = "A greeting.") -> str:
    """What the model writes for a plain answer."""
    return f"{THOUGHT}{thought}<|end|>{FINAL}{text}<|return|>"


def called(recipient: str, arguments: str, thought: str = "I need a tool.") -> str:
    """What the model writes for a call."""
    header = f"<|start|>assistant<|channel|>commentary to={recipient} <|constrain|>json<|message|>"
    return f"{THOUGHT}{thought}<|end|>{header}{arguments}<|call|>"


@contextmanager
def serving(player: Player, *, headers: dict[str, str] | None = None, **config: Any) -> Iterator[TestClient]:
    """A client of a server, in one event loop as long as it lasts."""
    service = service_for(player, **{"store": ":memory:", **config})
    with client_for(service, endpoints, headers) as client:
        yield client
        assert client.portal is not None
        client.portal.call(close_shelf, client.app)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def judged(body: Any) -> Judged:
    """A response that OpenAI's type and ours both accept."""
    _adapter(Response).validate_python(body)
    msgspec.convert(body, shapes.Response)
    return body


def judged_item(item: Any) -> Judged:
    """An item that OpenAI's type accepts."""
    _adapter(ResponseItem).validate_python(item)
    return item


def judged_events(texts: list[str]) -> list[Judged]:
    """The events of one stream: each as OpenAI's type has it, in the order of their numbers, with an end."""
    events = [json.loads(text) for text in texts]
    for event in events:
        _adapter(ResponseStreamEvent).validate_python(event)
        if "response" in event:
            judged(event["response"])
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events][:1] == ["response.created"]
    assert events[-1]["type"] in ("response.completed", "response.incomplete", "response.failed")
    return events


def stream(client: TestClient, body: Judged, **options: Any) -> list[Judged]:
    """The events of a streamed response."""
    response = client.post(URL, json={"stream": True, **body}, **options)
    assert response.status_code == 200, response.text
    return judged_events(events_of(response))

"""Responses over a scripted engine, and OpenAI's own types as the judges of all that comes back."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import msgspec
from openai.types.responses import Response, ResponseItem, ResponseStreamEvent
from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ossia.server.responses import close_shelf, endpoints, shapes
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.serving import client_for, events_of, service_for

__all__ = [
    "ADD",
    "FINAL",
    "HELLO",
    "PREAMBLE",
    "THOUGHT",
    "URL",
    "added_up",
    "answer",
    "ask",
    "called",
    "conversation",
    "events",
    "eventually",
    "judged",
    "judged_events",
    "judged_item",
    "nameless",
    "serving",
    "stream",
]

URL = "/v1/responses"

Judged = dict[str, Any]

OURS = ("repetition", "time_limit", "shutdown", "cancelled", "client_gone")
"""Reasons why a response is incomplete that OpenAI has not."""

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
        client.portal.call(close_shelf, cast(Starlette, client.app))


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def judged(body: Any) -> Judged:
    """A response that OpenAI's type and ours both accept."""
    _adapter(Response).validate_python(_of_openai(body))
    msgspec.convert(body, shapes.Response)
    return body


def _of_openai(body: Any) -> Any:
    """A response without a reason of our own, which OpenAI's type does not know."""
    details = body["incomplete_details"]
    return body | {"incomplete_details": {"reason": None}} if details and details["reason"] in OURS else body


def judged_item(item: Any) -> Judged:
    """An item that OpenAI's type accepts."""
    _adapter(ResponseItem).validate_python(item)
    return item


def judged_events(texts: list[str]) -> list[Judged]:
    """The events of one stream: each as OpenAI's type has it, in the order of their numbers, with an end."""
    events = [json.loads(text) for text in texts]
    for event in events:
        known = event | {"response": _of_openai(event["response"])} if "response" in event else event
        _adapter(ResponseStreamEvent).validate_python(known)
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


ADD = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}


HELLO: dict[str, Any] = {"model": "tiny", "input": "Hello"}


PREAMBLE = "<|start|>assistant<|channel|>commentary<|message|>One moment.<|end|>"


def ask(*answers: Any, status: int = 200, **fields: Any) -> Any:
    """The body of one answer."""
    with serving(Player(VOCABULARY, *answers, endless=True)) as client:
        response = client.post(URL, json={**HELLO, **fields})
        assert response.status_code == status, response.text
        return judged(response.json()) if status == 200 else response.json()["error"]


def events(*answers: Any, **fields: Any) -> list[dict[str, Any]]:
    with serving(Player(VOCABULARY, *answers, endless=True)) as client:
        return stream(client, {**HELLO, **fields})


def nameless(value: Any) -> Any:
    """A body without what differs from one request to the next: ids and times."""
    if isinstance(value, dict):
        own = ("id", "call_id", "item_id", "created_at", "completed_at", "encrypted_content")
        return {key: nameless(each) for key, each in value.items() if key not in own}
    return [nameless(each) for each in value] if isinstance(value, list) else value


def added_up(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The output that the deltas add up to, by a reader that follows OpenAI's documentation alone."""
    output: list[dict[str, Any]] = []
    for event in told:
        kind = event["type"]
        if kind == "response.output_item.added":
            assert event["output_index"] == len(output)
            assert event["item"]["status"] == "in_progress"
            output.append(json.loads(json.dumps(event["item"])))
        elif kind == "response.content_part.added":
            assert event["content_index"] == len(output[event["output_index"]]["content"])
            output[event["output_index"]]["content"].append({**event["part"]})
        elif kind in ("response.output_text.delta", "response.reasoning_text.delta"):
            item = output[event["output_index"]]
            assert event["item_id"] == item["id"]
            item["content"][event["content_index"]]["text"] += event["delta"]
        elif kind.endswith(("arguments.delta", "input.delta")):
            item = output[event["output_index"]]
            item["arguments" if "arguments" in kind else "input"] += event["delta"]
        elif kind == "response.output_item.done":
            item = output[event["output_index"]]
            assert nameless({**item, "status": ""}) == nameless({**event["item"], "status": ""})
            item["status"] = event["item"]["status"]
    return output


def conversation(client: Any, *turns: dict[str, Any]) -> list[dict[str, Any]]:
    """Answers to turns that each go on from the one before."""
    bodies: list[dict[str, Any]] = []
    for turn in turns:
        previous = {"previous_response_id": bodies[-1]["id"]} if bodies else {}
        response = client.post(URL, json={**HELLO, **previous, **turn})
        assert response.status_code == 200, response.text
        bodies.append(judged(response.json()))
    return bodies


def eventually(check: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen in 20 seconds")

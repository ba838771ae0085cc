"""Conversations that are stored, and responses that nobody waits for."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import Request

from ossia.engine import Output
from ossia.errors import OverloadedError, UnavailableError
from ossia.server.app import make_app
from ossia.server.clients import ANYONE
from ossia.server.responses import close_shelf, endpoints
from ossia.server.responses.making import making
from ossia.server.responses.requests import CreateRequest
from ossia.server.responses.shelf import shelf_of
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.responses.responding import (
    ADD,
    HELLO,
    THOUGHT,
    URL,
    added_up,
    answer,
    called,
    conversation,
    eventually,
    judged,
    judged_events,
    nameless,
    serving,
    stream,
)
from tests.server.serving import events_of, service_for


def test_a_stored_response_is_gone_on_from_with_its_calls_and_reasoning():
    player = Player(VOCABULARY, called("functions.add", '{"a":1}', "Adding."), answer("It is 2."), answer("Bye."))
    with serving(player) as client:
        first = judged(
            client.post(URL, json={**HELLO, "tools": [ADD], "instructions": "Be terse."}).json(),
        )
        result = {"type": "function_call_output", "call_id": first["output"][1]["call_id"], "output": "2"}
        second = {**HELLO, "previous_response_id": first["id"], "input": [result], "tools": [ADD]}
        second = judged(client.post(URL, json=second).json())
        conversation(client, {"previous_response_id": second["id"], "input": "Thanks"})
    loop, last = player.prompts[1:]
    assert "Be terse." in player.prompts[0]
    assert "Be terse." not in loop, "instructions are not carried over"
    assert "<|channel|>analysis<|message|>Adding.<|end|>" in loop
    assert 'to=functions.add <|constrain|>json<|message|>{"a":1}<|call|>' in loop
    assert "<|start|>functions.add to=assistant<|channel|>commentary<|message|>2<|end|>" in loop
    assert '{"a":1}<|call|>' in last
    assert "It is 2.<|end|><|start|>user<|message|>Thanks<|end|>" in last
    assert "Adding." not in last, "reasoning goes with its turn"


def test_the_chain_of_thought_is_kept_when_the_client_drops_it():
    player = Player(VOCABULARY, called("functions.add", '{"a":1}', "Adding."), answer())
    with serving(player) as client:
        (first,) = conversation(client, {"tools": [ADD], "store": False})
        call = first["output"][1]
        said = [{"role": "user", "content": "Hello"}, call]
        said.append({"type": "function_call_output", "call_id": call["call_id"], "output": "2"})
        conversation(client, {"input": said, "tools": [ADD]})
    assert "<|channel|>analysis<|message|>Adding.<|end|>" in player.prompts[1]


def test_items_can_be_named_instead_of_sent():
    player = Player(VOCABULARY, answer("One."), answer("Two."))
    with serving(player) as client:
        (first,) = conversation(client, {"input": "Count."})
        items = [{"type": "item_reference", "id": first["output"][1]["id"]}, {"role": "user", "content": "On."}]
        client.post(URL, json={**HELLO, "input": items}).raise_for_status()
    assert "<|channel|>final<|message|>One.<|end|>" in player.prompts[1]


def test_what_is_not_to_be_stored_is_not():
    with serving(Player(VOCABULARY, answer())) as client:
        (body,) = conversation(client, {"store": False})
        assert body["store"] is False
        assert client.get(f"{URL}/{body['id']}").status_code == 404


class Gate:
    """Holds the engine's steps after the first few until it is opened."""

    def __init__(self, free: int) -> None:
        self.steps = 0
        self.free = free
        self.open = threading.Event()

    async def __call__(self) -> None:
        self.steps += 1
        while self.steps > self.free and not self.open.is_set():
            await asyncio.sleep(0.002)


def gated(free: int, *answers: str) -> tuple[Player, Gate]:
    player, gate = Player(VOCABULARY, *(answers or (answer(),)), endless=True), Gate(free)
    player.before_step = gate
    return player, gate


def over(client: Any, identifier: str) -> Any:
    """The response once it is over."""
    return eventually(
        lambda: (body := client.get(f"{URL}/{identifier}").json())["status"] not in ("queued", "in_progress") and body
    )


def test_a_response_in_the_background():
    player, gate = gated(12)
    with serving(player) as client:
        begun = judged(client.post(URL, json={**HELLO, "background": True}).json())
        assert (begun["status"], begun["background"]) == ("in_progress", True)
        eventually(lambda: client.get(f"{URL}/{begun['id']}").json()["output"])
        judged(client.get(f"{URL}/{begun['id']}").json())
        going_on = client.post(URL, json={**HELLO, "previous_response_id": begun["id"]})
        assert (going_on.status_code, going_on.json()["error"]["code"]) == (409, "response_running")
        gate.open.set()
        final = judged(over(client, begun["id"]))
        assert final["status"] == "completed"
        assert final["output"][1]["content"][0]["text"] == "Hello!"
        whole = client.post(URL, json=HELLO).json()
        assert nameless({**final, "background": False}) == nameless(whole)


def test_its_stream_can_be_taken_up_again_at_any_event():
    player, gate = gated(4)
    with serving(player) as client:
        begun = client.post(URL, json={**HELLO, "background": True}).json()
        path = f"{URL}/{begun['id']}"
        threading.Timer(0.2, gate.open.set).start()
        live = judged_events(events_of(client.get(path, params={"stream": "true"})))
        assert [event["type"] for event in live[:3]] == [
            "response.created",
            "response.queued",
            "response.in_progress",
        ]
        assert live[0]["response"]["status"] == "queued"
        assert nameless(added_up(live)) == nameless(over(client, begun["id"])["output"])
        for start in (0, 3, len(live) - 2, len(live) - 1, len(live) + 5):
            query = {"stream": "true", "starting_after": str(start)}
            again = [json.loads(each) for each in events_of(client.get(path, params=query))]
            assert again == live[start + 1 :]
        query = {"starting_after": "3"}
        assert client.get(path, params=query).json()["error"]["param"] == "starting_after"
        query = {"stream": "true", "starting_after": "-1"}
        assert client.get(path, params=query).json()["error"]["param"] == "starting_after"


def test_streamed_at_once_it_is_the_same_stream():
    with serving(gated(1000)[0]) as client:
        told = stream(client, {**HELLO, "background": True})
        assert told[1]["type"] == "response.queued"
        kept = client.get(f"{URL}/{told[0]['response']['id']}", params={"stream": "true"})
        assert judged_events(events_of(kept)) == told


def test_a_stream_of_the_foreground_cannot_be_taken_up_again():
    with serving(gated(1000)[0]) as client:
        body = client.post(URL, json=HELLO).json()
        error = client.get(f"{URL}/{body['id']}", params={"stream": "true"}).json()["error"]
        assert error["param"] == "stream"
        assert client.post(f"{URL}/{body['id']}/cancel").json()["error"]["code"] == "not_in_background"


def test_it_can_be_cancelled_and_says_so_wherever_one_looks():
    player, _ = gated(12)
    with serving(player) as client:
        begun = client.post(URL, json={**HELLO, "background": True}).json()
        eventually(lambda: client.get(f"{URL}/{begun['id']}").json()["output"])
        ended = judged(client.post(f"{URL}/{begun['id']}/cancel").json())
        assert ended["status"] == "cancelled"
        assert client.get(f"{URL}/{begun['id']}").json() == ended
        assert client.post(f"{URL}/{begun['id']}/cancel").json() == ended, "twice is as good as once"
        told = judged_events(events_of(client.get(f"{URL}/{begun['id']}", params={"stream": "true"})))
        assert (told[-1]["type"], told[-1]["response"]) == ("response.incomplete", ended)
        eventually(lambda: len(player.left) == 1)


def test_deleting_it_ends_it():
    player, _ = gated(12)
    with serving(player) as client:
        begun = client.post(URL, json={**HELLO, "background": True}).json()
        assert client.delete(f"{URL}/{begun['id']}").json()["deleted"] is True
        assert client.get(f"{URL}/{begun['id']}").status_code == 404
        eventually(lambda: len(player.left) == 1)


def test_what_is_refused_is_refused_at_once_and_leaves_nothing():
    with serving(Player(VOCABULARY)) as client:
        for streamed in (True, False):
            body = {**HELLO, "model": "other", "background": True, "stream": streamed}
            assert client.post(URL, json=body).status_code == 404
            long = {**HELLO, "input": "word " * 9000, "background": True, "stream": streamed}
            assert client.post(URL, json=long).json()["error"]["code"] == "context_length_exceeded"


class Broken(Player):
    """Ends its answer with an error."""

    error: Exception = UnavailableError("the engine's process has ended")

    async def generate(self, wanted: Any) -> AsyncGenerator[Output, None]:
        async for output in super().generate(wanted):
            yield replace(output, finish=None)
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (UnavailableError("the engine's process has ended"), "server_error", 503),
        (OverloadedError("too many wait", 3.0), "rate_limit_exceeded", 429),
    ],
)
def test_an_engine_that_ends_early_ends_the_response_with_an_error(error: Exception, code: str, status: int):
    player = Broken(VOCABULARY, f"{THOUGHT}Hm", endless=True)
    player.error = error
    with serving(player) as client:
        told = stream(client, HELLO)
        assert told[-1]["type"] == "response.failed"
        final = told[-1]["response"]
        assert (final["status"], final["error"]["code"]) == ("failed", code)
        assert final["output"][0]["status"] == "incomplete"
        assert client.get(f"{URL}/{final['id']}").json() == final
        assert client.post(URL, json=HELLO).status_code == status, "whole, it is the status that says so"
        begun = client.post(URL, json={**HELLO, "background": True}).json()
        assert nameless(over(client, begun["id"])["error"]) == nameless(final["error"])


def test_a_stream_that_waited_long_and_then_fails_is_stored_too():
    player = Broken(VOCABULARY, "<|channel|>", endless=True)
    player.before_step = lambda: asyncio.sleep(0.3)
    with serving(player, ping_seconds=0.05) as client:
        told = stream(client, HELLO)
        assert [event["type"] for event in told] == ["response.created", "response.failed"]
        final = told[-1]["response"]
        assert client.get(f"{URL}/{final['id']}").json() == final


def test_what_nobody_foresaw_ends_a_stream_properly_and_tells_no_details(caplog: pytest.LogCaptureFixture):
    player = Broken(VOCABULARY, f"{THOUGHT}Hm", endless=True)
    player.error = ZeroDivisionError("secret")
    with serving(player) as client:
        told = stream(client, HELLO)
    assert told[-1]["type"] == "response.failed"
    assert "secret" not in json.dumps(told)
    assert "secret" in caplog.text


def test_a_client_that_leaves_ends_its_response_and_what_there_is_of_it_is_stored():
    player, _ = gated(12)
    service = service_for(player, store=":memory:")
    app = make_app(service, endpoints)

    async def scene() -> None:
        request = Request({"type": "http", "app": app, "state": {"client": ANYONE}, "headers": []})
        made = await making(request, CreateRequest(**HELLO))
        frames = made.frames()
        told = [await anext(frames)]
        row = await shelf_of(request).store.get(made.owner, made.composition.id)
        assert row is not None, "it is stored before its id is sent"
        assert row.running
        told += [await anext(frames) for _ in range(6)]
        assert b"response.reasoning_text.delta" in told[-1]
        await frames.aclose()
        assert len(player.left) == 1
        row = await shelf_of(request).store.get(made.owner, made.composition.id)
        assert row is not None
        assert not row.running
        assert judged(row.body)["status"] == "cancelled"
        assert row.body["output"][0]["content"][0]["text"] == "A gre"
        await close_shelf(app)

    asyncio.run(scene())


def test_a_full_disk_costs_the_store_and_not_the_answer():
    service = service_for(Player(VOCABULARY, answer(), endless=True), store=":memory:")
    app = make_app(service, endpoints)

    async def scene() -> None:
        request = Request({"type": "http", "app": app, "state": {"client": ANYONE}, "headers": []})
        made = await making(request, CreateRequest(**HELLO))
        happenings = made.happenings()
        await anext(happenings)
        database = shelf_of(request).store._database
        pages = database._rows.execute("PRAGMA page_count").fetchone()[0]
        database._rows.execute(f"PRAGMA max_page_count = {pages}")
        made.composition.response["metadata"] = {"much": "x" * 100_000}
        told = [happening async for happening in happenings]
        assert told[-1]["type"] == "response.completed"
        assert "full" in told[-1]["response"]["ossia"]["not_stored"]
        await close_shelf(app)

    asyncio.run(scene())

"""An answer that cannot go on, because its grammar has met its limits: every API keeps what there is and says why."""

import json
from typing import Any

import pytest

from ossia.server.app import ENDPOINTS
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.serving import client_for, events_of, service_for

WHY = "the answer cannot go on within what its grammar may cost: too many ways"
HALF = "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>It is"
ASKED = [{"role": "user", "content": "2 + 2?"}]


def post(path: str, **body: Any) -> Any:
    player = Player(VOCABULARY, HALF, failure=WHY)
    response = client_for(service_for(player), ENDPOINTS).post(path, json={"model": "tiny"} | body)
    assert response.status_code == 200, response.text
    return response


@pytest.mark.parametrize("stream", [False, True])
def test_chat_completions(stream: bool):
    response = post("/v1/chat/completions", messages=ASKED, stream=stream)
    if stream:
        chunks = [json.loads(data) for data in events_of(response)[:-1]]
        text = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
        finish, told = chunks[-1]["choices"][0]["finish_reason"], chunks[-1]["ossia"]
    else:
        (choice,) = response.json()["choices"]
        text, finish, told = choice["message"]["content"], choice["finish_reason"], response.json()["ossia"]
    assert (text, finish, told["finish"], told["failure"]) == ("It is", "error", "no_token", WHY)


@pytest.mark.parametrize("stream", [False, True])
def test_responses(stream: bool):
    response = post("/v1/responses", input="2 + 2?", stream=stream)
    made = json.loads(events_of(response)[-1].split("\n")[-1])["response"] if stream else response.json()
    assert made["status"] == "failed"
    assert made["error"] == {"code": "server_error", "message": f"no token could be drawn: {WHY}"}
    assert made["output"][-1]["content"][0]["text"] == "It is"


@pytest.mark.parametrize("stream", [False, True])
def test_messages(stream: bool):
    response = post("/v1/messages", messages=ASKED, max_tokens=50, stream=stream)
    if stream:
        events = [json.loads(event.split("\n")[-1]) for event in events_of(response)]
        text = "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
        end, reason = events[-2], events[-2]["delta"]["stop_reason"]
    else:
        end, reason, text = response.json(), response.json()["stop_reason"], response.json()["content"][0]["text"]
    assert (text, reason, end["ossia"]["failure"]) == ("It is", "error", WHY)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_ollama(path: str, stream: bool):
    asked = {"messages": ASKED} if path == "/api/chat" else {"prompt": "2 + 2?"}
    last = json.loads(post(path, stream=stream, **asked).text.splitlines()[-1])
    assert (last["done_reason"], last["ossia"]["failure"]) == ("error", WHY)


def test_raw_prompts():
    body = post("/v1/completions", prompt="2 + 2?").json()
    assert (body["choices"][0]["finish_reason"], body["ossia"]["failures"]) == ("error", [WHY])
    last = json.loads(post("/api/generate", prompt="2 + 2?", raw=True).text.splitlines()[-1])
    assert (last["done_reason"], last["ossia"]["failure"]) == ("error", WHY)

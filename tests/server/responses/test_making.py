"""Conversations that are stored, and responses that nobody waits for."""

from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.responses.responding import (
    ADD,
    HELLO,
    URL,
    answer,
    called,
    conversation,
    judged,
    serving,
)


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

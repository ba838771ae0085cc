"""What was said before, in every form in which clients send it."""

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


def test_reasoning_comes_back_in_every_form():
    player = Player(VOCABULARY, called("functions.add", '{"a":1}', "Adding."), answer(), answer(), answer(), answer())
    with serving(player) as client:
        fields = {"tools": [ADD], "store": False, "include": ["reasoning.encrypted_content"]}
        (first,) = conversation(client, fields)
        thought, call = first["output"]
        # Another id: nothing is to be found in the server's own memory.
        call = {**call, "call_id": "call_other"}
        result = {"type": "function_call_output", "call_id": "call_other", "output": "2"}
        forms = [
            {"type": "reasoning", "summary": [], "content": thought["content"], "encrypted_content": None},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": thought["encrypted_content"]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Adding."}]},
        ]
        for form in forms:
            said = [{"role": "user", "content": "Hello"}, form, call, result]
            body = judged(client.post(URL, json={**HELLO, "input": said, "tools": [ADD]}).json())
            assert body["ossia"]["passed_over"] == []
        foreign = {"type": "reasoning", "summary": [], "encrypted_content": "gAAAAABo"}
        body = client.post(URL, json={**HELLO, "input": [*said[:1], foreign, call, result], "tools": [ADD]}).json()
        assert body["ossia"]["passed_over"] == ["input[1].encrypted_content"]
    for prompt in player.prompts[1:4]:
        assert "<|channel|>analysis<|message|>Adding.<|end|>" in prompt
    assert "Adding." not in player.prompts[4]

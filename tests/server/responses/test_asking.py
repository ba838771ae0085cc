"""What a request asks reaches the model and the engine."""

import json

from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.responses.responding import (
    HELLO,
    URL,
    answer,
    ask,
    judged,
    serving,
)


def test_forms_of_answers_reach_the_engine():
    player = Player(VOCABULARY, answer("{}"), endless=True)
    with serving(player) as client:
        for fields in (
            {"text": {"format": {"type": "json_object"}}},
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}},
            {"grammar": {"type": "choice", "values": ["{}"]}},
            {"grammar": "off"},
        ):
            client.post(URL, json={**HELLO, **fields}).raise_for_status()
    sources = [wanted.grammar for wanted in player.wanted]
    assert [source and json.loads(source).get("answer", {}).get("type") for source in sources] == [
        "json_object",
        "json_schema",
        "choice",
        None,
    ]
    assert sources[3] is None
    assert '"type":"object"' in player.prompts[1].replace(" ", "")


def test_truncation_drops_old_turns_and_says_so():
    long = [{"role": "user", "content": "word " * 900}, {"role": "assistant", "content": "Yes."}]
    said = [{"role": "developer", "content": "Be kind."}, *long, *long, *long, {"role": "user", "content": "And now?"}]
    error = ask(answer(), status=400, input=said)
    assert error["code"] == "context_length_exceeded"
    player = Player(VOCABULARY, answer())
    with serving(player) as client:
        body = judged(client.post(URL, json={**HELLO, "input": said, "truncation": "auto"}).json())
    assert body["ossia"]["dropped_turns"] > 0
    assert "Be kind." in player.prompts[0]
    assert "And now?" in player.prompts[0]

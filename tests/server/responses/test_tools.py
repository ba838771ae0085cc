"""Tools, and the choice among them."""

import json

from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.responses.responding import (
    ADD,
    HELLO,
    URL,
    called,
    serving,
)


def test_choices_reach_the_engine():
    player = Player(VOCABULARY, called("functions.add", '{"a":1}'), endless=True)
    tools = [ADD, {**ADD, "name": "subtract"}, {"type": "namespace", "name": "n", "tools": [ADD]}]
    named = {"type": "function", "name": "add"}
    with serving(player) as client:
        for choice in (
            "required",
            named,
            {**named, "namespace": "n"},
            {"type": "allowed_tools", "mode": "auto", "tools": [named, {"type": "web_search"}]},
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "namespace", "name": "n"}]},
        ):
            fields = {"tools": tools, "tool_choice": choice, "parallel_tool_calls": False}
            client.post(URL, json={**HELLO, **fields}).raise_for_status()
    rules = [json.loads(wanted.grammar) for wanted in player.wanted]
    assert [each.get("choice", "auto") for each in rules] == [
        "required",
        "functions.add",
        "n.add",
        "auto",
        "required",
    ]
    assert [[tool["recipient"] for tool in each["tools"]] for each in rules[3:]] == [["functions.add"], ["n.add"]]
    assert not any(each["parallel"] for each in rules)

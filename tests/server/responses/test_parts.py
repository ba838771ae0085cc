"""Items and their events."""

import pytest

from tests.server.responses.responding import (
    ADD,
    FINAL,
    PREAMBLE,
    THOUGHT,
    answer,
    ask,
    called,
    events,
    nameless,
)


def test_the_order_of_events():
    told = [event["type"].removeprefix("response.") for event in events(answer("Hi", "Hm"))]
    text = ["output_item.added", "content_part.added", "{}.delta", "{}.done", "content_part.done", "output_item.done"]
    order = ["created", "in_progress"]
    order += [each.format("reasoning_text") for each in text] + [each.format("output_text") for each in text]
    assert list(dict.fromkeys(told)) == list(dict.fromkeys([*order, "completed"]))
    calls = [event["type"].removeprefix("response.") for event in events(called("functions.add", "{}"), tools=[ADD])]
    assert calls[-4:] == [
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]


def test_a_preamble_is_a_message_of_its_own():
    output = ask(f"{THOUGHT}Hm.<|end|>{PREAMBLE}{FINAL}Done.<|return|>")["output"]
    assert [(item["type"], item.get("phase")) for item in output] == [
        ("reasoning", None),
        ("message", "commentary"),
        ("message", "final_answer"),
    ]


def test_calls_are_items_with_the_names_that_clients_know():
    patch = {"type": "custom", "name": "apply_patch", "format": {"type": "text"}}
    weather = {"type": "namespace", "name": "mcp__weather", "tools": [{**ADD, "name": "forecast"}]}
    written = (
        '<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 1}<|call|>',
        "<|channel|>commentary to=functions.apply_patch<|message|>*** Begin<|call|>",
        '<|channel|>commentary to=mcp__weather.forecast <|constrain|>json<|message|>{"a": 2}<|call|>',
    )
    found = [ask(each, tools=[ADD, patch, weather])["output"][0] for each in written]
    assert [nameless(item) for item in found] == [
        {"type": "function_call", "name": "add", "arguments": '{"a": 1}', "status": "completed"},
        {"type": "custom_tool_call", "name": "apply_patch", "input": "*** Begin", "status": "completed"},
        {
            "type": "function_call",
            "name": "forecast",
            "namespace": "mcp__weather",
            "arguments": '{"a": 2}',
            "status": "completed",
        },
    ]
    assert all(item["call_id"].startswith("call_") for item in found)


@pytest.mark.parametrize("recipient", ["addext.", ".x", "..", "functions.", "a.b.c", "add"])
def test_whatever_a_model_calls_its_name_is_whole(recipient: str):
    (item,) = ask(f"<|channel|>commentary to={recipient}<|message|>{{}}<|call|>", grammar="off")["output"]
    assert item["name"]
    assert ".".join(filter(None, (item.get("namespace"), item["name"]))) == recipient


def test_logprobs_are_given_by_channel():
    written = f"{THOUGHT}Hm.<|end|>{FINAL}Yes.<|return|>"
    body = ask(written, include=["message.output_text.logprobs"], top_logprobs=2)
    thought, message = (item["content"][0] for item in body["output"])
    for part in (thought, message):
        assert "".join(entry["token"] for entry in part["logprobs"]) == part["text"]
        assert all(len(entry["top_logprobs"]) == 2 for entry in part["logprobs"])
    told = events(written, top_logprobs=2)
    scores = [each for event in told if event["type"].endswith("_text.delta") for each in event["logprobs"]]
    assert scores == [*thought["logprobs"], *message["logprobs"]]
    call = ask(called("functions.add", '{"a":1}'), tools=[ADD], top_logprobs=1)["output"][1]
    assert "".join(entry["token"] for entry in call["logprobs"]) == call["arguments"]
    assert all(
        "logprobs" not in item["content"][0] or not item["content"][0]["logprobs"] for item in ask(written)["output"]
    )

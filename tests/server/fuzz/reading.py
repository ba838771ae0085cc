"""What came back through each API, read by its own rules, as one plain form that all of them share."""

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ollama import ChatResponse
from openai.types.chat import ChatCompletion
from starlette.applications import Starlette

from ossia.assistant import Kind
from ossia.harmony import Message
from tests.server.chat.test_routes import joined
from tests.server.chat.test_routes import judged as judged_chat
from tests.server.fuzz.corruption import Stream
from tests.server.fuzz.direct import Answered, post
from tests.server.messages.test_routes import EVENT, OURS, read
from tests.server.messages.test_routes import judged as judged_message
from tests.server.responses.responding import added_up, judged_events
from tests.server.responses.responding import judged as judged_response

__all__ = ["APIS", "Call", "Said", "canonical", "expected", "through"]

Call = tuple[str, str]
ASKED = [{"role": "user", "content": "Go on."}]
PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer", "not": {"const": 3}}}}


@dataclass
class Said:
    """What a client knows after an answer. `finish` is ours, the same through every API."""

    answer: str = ""
    reasoning: str = ""
    calls: list[Call] = field(default_factory=list[Call])
    other: list[str] = field(default_factory=list[str])
    finish: str = ""

    def told(self, ossia: dict[str, Any]) -> "Said":
        """With what the settings tell."""
        self.finish = ossia["finish"]
        self.other = [message.get("content", "") for message in ossia["other"]]
        return self


def expected(messages: Sequence[Message]) -> Said:
    """What a client has to hear of these messages: all of it."""

    def texts(*kinds: Kind) -> list[str]:
        return [message.text for message in messages if Kind.of(message) in kinds]

    calls = [message for message in messages if Kind.of(message) is Kind.CALL]
    return Said(
        answer="\n\n".join(filter(None, texts(Kind.ANSWER, Kind.PREAMBLE))),
        reasoning="\n\n".join(filter(None, texts(Kind.REASONING))),
        calls=[(_name(call.recipient or ""), call.text) for call in calls],
        other=[_plain(message) for message in messages if Kind.of(message) is Kind.OTHER],
    )


def _name(recipient: str) -> str:
    """The name that a client of functions knows; what is nothing else is a name too."""
    return recipient.removeprefix("functions.") or recipient


def _plain(message: Message) -> str:
    return message.to_json().get("content", "")  # type: ignore[return-value]


async def through(api: str, app: Starlette, asked: Stream) -> tuple[Said, Said]:
    """What is said through an API, whole and streamed; both judged by the types of its official package."""
    run = APIS[api]
    return await run(app, asked, False), await run(app, asked, True)


async def _chat(app: Starlette, asked: Stream, streamed: bool) -> Said:
    tool = {"type": "function", "function": {"name": "add", "parameters": PARAMETERS}}
    body = {
        "model": "tiny",
        "messages": ASKED,
        "grammar": "off",
        "stream": streamed,
        "stop": list(asked.stop),
        **({"tools": [tool]} if asked.tools else {}),
        **({"logprobs": True, "top_logprobs": 2} if asked.logprobs else {}),
    }
    answered = _fine(await post(app, "/v1/chat/completions", body))
    if streamed:
        *parts, end = answered.data()
        chunks = [json.loads(part) for part in parts]
        assert end == "[DONE]"
        (choice,) = joined(chunks)
        calls = [(name, arguments) for _, name, arguments in choice["calls"]]
        said = Said(choice["content"] or "", choice["reasoning"] or "", calls)
        return said.told(chunks[-1]["ossia"])
    whole = answered.json()
    completion: ChatCompletion = judged_chat(whole)
    message = whole["choices"][0]["message"]
    calls = [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls", ())]
    assert (completion.choices[0].message.tool_calls is None) == (not calls)
    return Said(message["content"] or "", message["reasoning"] or "", calls).told(whole["ossia"])


async def _responses(app: Starlette, asked: Stream, streamed: bool) -> Said:
    tool = {"type": "function", "name": "add", "parameters": PARAMETERS}
    body = {
        "model": "tiny",
        "input": "Go on.",
        "grammar": "off",
        "stream": streamed,
        "store": asked.thinking,
        "stop": list(asked.stop),
        **({"tools": [tool]} if asked.tools else {}),
        **({"top_logprobs": 2, "include": ["message.output_text.logprobs"]} if asked.logprobs else {}),
    }
    answered = _fine(await post(app, "/v1/responses", body))
    if streamed:
        events = judged_events(answered.data())
        output = added_up([_scoreless(event) for event in events])
        assert [item["id"] for item in output] == [item["id"] for item in events[-1]["response"]["output"]]
        return _items(output).told(events[-1]["response"]["ossia"])
    whole = judged_response(answered.json())
    return _items(whole["output"]).told(whole["ossia"])


def _scoreless(value: Any) -> Any:
    """A body without log-probabilities, which the reader of streams does not add up."""
    if isinstance(value, dict):
        return {key: _scoreless(each) for key, each in value.items() if key != "logprobs"}
    return [_scoreless(each) for each in value] if isinstance(value, list) else value


def _items(output: list[dict[str, Any]]) -> Said:
    def texts(kind: str) -> list[str]:
        return [part["text"] for item in output if item["type"] == kind for part in item["content"]]

    calls = [
        (_name(".".join(filter(None, (item.get("namespace"), item["name"])))), item["arguments"])
        for item in output
        if item["type"] == "function_call"
    ]
    assert {item["type"] for item in output} <= {"message", "reasoning", "function_call"}
    return Said("\n\n".join(filter(None, texts("message"))), "\n\n".join(filter(None, texts("reasoning"))), calls)


async def _ollama(app: Starlette, asked: Stream, streamed: bool) -> Said:
    tool = {"type": "function", "function": {"name": "add", "description": "", "parameters": PARAMETERS}}
    body = {
        "model": "tiny",
        "messages": ASKED,
        "grammar": "off",
        "stream": streamed,
        "options": {"stop": list(asked.stop)},
        **({"tools": [tool]} if asked.tools else {}),
        **({"logprobs": True, "top_logprobs": 2} if asked.logprobs else {}),
    }
    lines = _fine(await post(app, "/api/chat", body)).lines()
    for line in lines:
        ChatResponse.model_validate(line)
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    messages = [line["message"] for line in lines]
    functions = [call["function"] for message in messages for call in message.get("tool_calls", ())]
    assert [function["index"] for function in functions] == [*range(len(functions))]
    cut = [(call["name"], call["arguments"]) for call in lines[-1]["ossia"].get("incomplete_calls", ())]
    said = Said(
        "".join(message["content"] for message in messages),
        "".join(message.get("thinking") or "" for message in messages),
        [(function["name"], canonical(function["arguments"])) for function in functions] + cut,
    )
    return said.told(lines[-1]["ossia"])


async def _messages(app: Starlette, asked: Stream, streamed: bool) -> Said:
    body = {
        "model": "tiny",
        "messages": ASKED,
        "max_tokens": 3500,
        "grammar": "off",
        "stream": streamed,
        "stop_sequences": list(asked.stop),
        **({"tools": [{"name": "add", "input_schema": PARAMETERS}]} if asked.tools else {}),
        **({"thinking": {"type": "adaptive"}} if asked.thinking else {}),
    }
    answered = _fine(await post(app, "/v1/messages", body))
    if not streamed:
        whole = answered.json()
        return _blocks(whole, _inputs(whole))
    events = [json.loads(text) for text in answered.data()]
    pieces: dict[int, str] = {}
    for event in events:
        plain = json.loads(json.dumps(event))
        if plain["type"] == "message_delta" and plain["delta"]["stop_reason"] in OURS:
            plain["delta"]["stop_reason"] = "end_turn"
        EVENT.validate_python(plain)
        if event["type"] == "content_block_delta" and "partial_json" in event["delta"]:
            pieces[event["index"]] = pieces.get(event["index"], "") + event["delta"]["partial_json"]
    whole = read(events) | {"ossia": events[-2]["ossia"]}
    names = [(index, block["name"]) for index, block in enumerate(whole["content"]) if block["type"] == "tool_use"]
    return _blocks(whole, [(name, pieces.get(index, "")) for index, name in names])


def _blocks(message: dict[str, Any], calls: list[Call]) -> Said:
    blocks, ossia = message["content"], message["ossia"]
    # The reader of a stream has what the pieces spell, which need be no object.
    plain = [{**block, "input": {}} if block["type"] == "tool_use" else block for block in blocks]
    judged_message({**message, "content": plain})
    answer = "\n\n".join(block["text"] for block in blocks if block["type"] == "text" and block["text"])
    thoughts = [block["thinking"] for block in blocks if block["type"] == "thinking"]
    reasoning = "\n\n".join(filter(None, thoughts)) or ossia.get("reasoning", "")
    assert {block["type"] for block in blocks} <= {"text", "thinking", "tool_use"}
    return Said(answer, reasoning, calls).told(ossia)


def _inputs(message: dict[str, Any]) -> list[Call]:
    """The calls of a whole message: those whose arguments are no object have an empty one, and are told apart."""
    uses = [(block["name"], block["input"]) for block in message["content"] if block["type"] == "tool_use"]
    cut = [(call["name"], call["arguments"]) for call in message["ossia"].get("incomplete_calls", ())]
    empty = Counter(name for name, given in uses if not given) - Counter(name for name, _ in cut)
    full = [(name, canonical(given)) for name, given in uses if given]
    return full + cut + [(name, "{}") for name in empty.elements()]


def _fine(answered: Answered) -> Answered:
    assert answered.status == 200, answered.body[:500]
    return answered


def canonical(value: Any) -> str:
    """JSON that is the same for the same value."""
    return json.dumps(value, sort_keys=True)


APIS: dict[str, Callable[[Starlette, Stream, bool], Awaitable[Said]]] = {
    "chat": _chat,
    "responses": _responses,
    "ollama": _ollama,
    "messages": _messages,
}
